//! Ranges as a pool: on-link where an uplink's network holds them, else routed; configured, or added and drained since.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use tracing::warn;

use super::GatewayError;
use crate::address::{Pool, PoolDefinition, PoolError, PoolKind, Prefix, ReservedRanges, Standing};
use crate::config::Config;
use crate::dataplane::Environment;

pub(super) fn pool(config: &Config, environment: &Environment) -> Result<Pool> {
    let definitions = config.pools.iter().map(|prefix| define(*prefix, environment)).collect::<Result<Vec<_>, _>>()?;
    let pool = Pool::new(definitions, &config.excluded(), reserved(config.allow_reserved_pools), config.cool_down)?;
    for range in pool.ranges() {
        let pool = range.prefix();
        ensure!(range.members() > 0, PoolError::NoMembers { pool });
    }
    Ok(pool)
}

/// The pool as it is where no range lies inside an uplink's network, for judging a configuration without the network.
pub(super) fn as_routed(config: &Config) -> Result<Pool> {
    pool(config, &Environment::default())
}

pub(super) fn reserved(allowed: bool) -> ReservedRanges {
    if allowed { ReservedRanges::Allow } else { ReservedRanges::Refuse }
}

/// Makes of what is configured what was commanded since: the last word about a range is the one that holds.
pub(super) fn follow_standings(
    pool: &mut Pool,
    standings: &[(Prefix, Standing)],
    environment: &Environment,
) -> Result<()> {
    for (prefix, standing) in standings.iter().copied() {
        let Some(state) = standing.state() else {
            if pool.find(prefix).is_some() {
                warn!(
                    "pool {prefix} is configured and was removed by command; `eipgate pool add {prefix}` brings it back"
                );
            }
            pool.remove(prefix);
            continue;
        };
        if pool.find(prefix).is_none() && standing.is_added() {
            // Whether it may be a reserved one was decided when it was added.
            let added = define(prefix, environment).map_err(anyhow::Error::from);
            let added = added.and_then(|definition| Ok(pool.addition(definition, ReservedRanges::Allow)?));
            let added = added.with_context(|| {
                format!("pool {prefix}, which was added by command, does not go with the configuration or the host")
            })?;
            pool.insert(added);
        }
        pool.set_state(prefix, state);
    }
    Ok(())
}

pub(super) fn define(prefix: Prefix, environment: &Environment) -> Result<PoolDefinition, GatewayError> {
    let networks = environment
        .own
        .iter()
        .filter(|own| own.uplink)
        .filter_map(|own| Prefix::containing(own.address, own.length).ok());
    let holding = networks.filter(|network| network.contains(prefix.first()) && network.contains(prefix.last()));
    let mut inside = environment.own.iter().filter(|own| prefix.contains(own.address));
    // The smallest network is the one whose first and last address matter most to its hosts.
    if let Some(connected) = holding.max_by_key(|network| network.length()) {
        let gateway: Vec<Ipv4Addr> = inside.map(|own| own.address).collect();
        return Ok(PoolDefinition { prefix, kind: PoolKind::OnLink { connected, gateway } });
    }
    if let Some(own) = inside.next() {
        return Err(GatewayError::OwnAddressInPool {
            pool: prefix,
            address: own.address,
            interface: own.interface.clone(),
        });
    }
    Ok(PoolDefinition { prefix, kind: PoolKind::Routed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::OwnAddress;

    fn environment() -> Environment {
        let own = |interface: &str, address: [u8; 4], length, uplink| OwnAddress {
            interface: interface.into(),
            address: address.into(),
            length,
            uplink,
        };
        let own = vec![
            own("lo", [127, 0, 0, 1], 8, false),
            own("eth0", [9, 9, 9, 1], 24, true),
            own("eth0", [9, 9, 9, 130], 24, true),
            own("eth1", [10, 0, 0, 1], 24, false),
            own("dummy0", [8, 8, 8, 8], 32, false),
        ];
        Environment { own }
    }

    fn build(pools: &[&str], exclude: &[&str]) -> Result<Pool, String> {
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let config = Config { pools: prefixes(pools), exclude: prefixes(exclude), ..Config::default() };
        pool(&config, &environment()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_range_inside_an_uplinks_network_is_on_link_and_leaves_out_what_is_in_use() {
        let pool = build(&["9.9.9.128/25", "1.2.3.0/30"], &["9.9.9.131", "1.2.3.0/31"]).unwrap();
        let kinds: Vec<bool> = pool.ranges().iter().map(|range| *range.kind() == PoolKind::Routed).collect();
        assert_eq!(kinds, [true, false]);
        let withheld: Vec<String> =
            pool.ranges().iter().flat_map(|range| range.withheld()).map(|address| address.to_string()).collect();
        assert_eq!(withheld, ["1.2.3.0", "1.2.3.1", "9.9.9.130", "9.9.9.131", "9.9.9.255"]);
    }

    #[test]
    fn a_routed_range_must_not_hold_the_gateways_own_addresses() {
        assert_eq!(
            build(&["8.8.8.0/24"], &["8.8.8.8"]).unwrap_err(),
            "pool 8.8.8.0/24 contains 8.8.8.8, the gateway's own address on dummy0; \
             give the gateway another address or choose another pool"
        );
        // Larger than the uplink's network, so not on the link as a whole.
        assert!(build(&["9.9.8.0/23"], &[]).unwrap_err().starts_with("pool 9.9.8.0/23 contains 9.9.9.1, "));
    }

    #[test]
    fn a_range_with_nothing_in_it_is_refused() {
        assert_eq!(
            build(&["9.9.9.1/32"], &[]).unwrap_err(),
            "pool 9.9.9.1/32 has no address to hand out: all are excluded or the gateway's own"
        );
        assert_eq!(build(&[], &[]).unwrap().members(), 0);
    }
}
