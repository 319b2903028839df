//! Finding what begins like a text, in bounded time however much there is.

use std::net::Ipv4Addr;
use std::ops::Bound::{Included, Unbounded};
use std::ops::RangeInclusive;

use super::{AccountId, Eip, EipId, Holder, Instance, InstanceId, Ledger, VpcId};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// By kind of likeness, each once.
    pub items: Vec<T>,
    /// Whether there may be more: as many as wanted were found, or as many looked at as allowed.
    pub cut_short: bool,
}

/// Collects what is found until there is enough of it, or of looking.
struct Search<T> {
    found: Found<T>,
    most: usize,
    effort: usize,
}

impl<T: PartialEq> Search<T> {
    fn new(most: usize, effort: usize) -> Self {
        Search { found: Found { items: Vec::new(), cut_short: false }, most, effort }
    }

    /// Looks at candidates, of which `judge` says what they stand for.
    fn look_at<C>(&mut self, candidates: impl Iterator<Item = C>, mut judge: impl FnMut(C) -> Option<T>) {
        for candidate in candidates {
            if self.effort == 0 || self.found.items.len() >= self.most {
                self.found.cut_short = true;
                return;
            }
            self.effort -= 1;
            if let Some(item) = judge(candidate)
                && !self.found.items.contains(&item)
            {
                self.found.items.push(item);
            }
        }
    }
}

impl Ledger {
    /// The account's instances whose id, name, private or public address begins with the text: `most` of them, looking at
    /// no more than `effort` candidates of anybody's.
    pub fn search_instances(&self, account: &AccountId, text: &str, most: usize, effort: usize) -> Found<InstanceId> {
        let mut search = Search::new(most, effort);
        let own = |instance: Option<&Instance>| Some(instance.filter(|it| it.account == *account)?.id.clone());
        for range in addresses_like(text) {
            let held = self.stock.held().range(range.clone()).map(|(address, _)| *address);
            search.look_at(held, |address| own(self.served_by(address)));
            let carried = self.by_private.range((*range.start(), VpcId::before_all())..);
            let carried = carried.take_while(|((address, _), _)| range.contains(address));
            search.look_at(carried, |(_, id)| own(self.instances.get(id)));
        }
        let named = self.by_name.range((account.clone(), text.to_owned(), InstanceId::before_all())..);
        let named = named.take_while(|(owner, name, _)| owner == account && name.starts_with(text));
        search.look_at(named, |(_, _, id)| own(self.instances.get(id)));
        let ids = self
            .instances
            .range::<str, _>((Included(text), Unbounded))
            .take_while(|(id, _)| id.as_str().starts_with(text));
        search.look_at(ids, |(_, instance)| own(Some(instance)));
        search.found
    }

    /// The account's EIPs whose id, name or address begins with the text, or that serve an instance like it; in the bounds of
    /// [`Ledger::search_instances`].
    pub fn search_eips(&self, account: &AccountId, text: &str, most: usize, effort: usize) -> Found<EipId> {
        let mut search = Search::new(most, effort);
        let own = |eip: Option<&Eip>| Some(eip.filter(|eip| eip.account == *account)?.id.clone());
        for range in addresses_like(text) {
            search.look_at(self.stock.held().range(range), |(_, holder)| match holder {
                Holder::Eip(id) => own(self.eips.get(id)),
                Holder::Ordinary(_) => None,
            });
        }
        let owned = self.owned(account).into_iter();
        let named = owned.flat_map(|owned| owned.eips_by_name.range((text.to_owned(), EipId::before_all())..));
        let named = named.take_while(|(name, _)| name.starts_with(text));
        search.look_at(named, |(_, id)| own(self.eips.get(id)));
        let ids =
            self.eips.range::<str, _>((Included(text), Unbounded)).take_while(|(id, _)| id.as_str().starts_with(text));
        search.look_at(ids, |(_, eip)| own(Some(eip)));
        let served = self.search_instances(account, text, most, search.effort);
        search.look_at(served.items.iter(), |instance| own(self.eip_of(instance)));
        search.found.cut_short |= served.cut_short;
        search.found
    }
}

/// The addresses whose text begins like this, as ranges, the nearest first. A last number that no dot closes may go on.
fn addresses_like(text: &str) -> Vec<RangeInclusive<Ipv4Addr>> {
    let mut parts: Vec<&str> = text.split('.').collect();
    let plain = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let open = parts.pop().unwrap_or_default();
    let closed: Option<Vec<u32>> =
        parts.iter().map(|part| Some(part).filter(|part| plain(part))?.parse().ok().filter(|it| *it < 256)).collect();
    let Some(closed) = closed.filter(|closed| closed.len() < 4 && (!closed.is_empty() || !open.is_empty())) else {
        return Vec::new();
    };
    let begun = closed.iter().fold(0, |bits, octet| bits << 8 | octet);
    let free = 32 - 8 * closed.len() as u32;
    let last: Vec<(u32, u32)> = match open {
        "" => vec![(0, 255)],
        open if plain(&open) && (open == "0" || !open.starts_with('0')) => {
            let number: u32 = open.parse().unwrap_or(u32::MAX);
            let longer = [(number, number), (number * 10, number * 10 + 9), (number * 100, number * 100 + 99)];
            longer.into_iter().take(if number == 0 { 1 } else { 3 }).filter(|(first, _)| *first < 256).collect()
        }
        _ => Vec::new(),
    };
    let bits = |octet: u32| ((u64::from(begun) << 8 | u64::from(octet)) << (free - 8)) as u32;
    let range = |(first, last): (u32, u32)| {
        let host = (1_u64 << (free - 8)) - 1;
        Ipv4Addr::from_bits(bits(first))..=Ipv4Addr::from_bits(bits(last.min(255)) | host as u32)
    };
    last.into_iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{
        Capacity, Command, NewEip, NewInstance, Pool, PoolDefinition, PoolKind, ReservedRanges, Time,
    };

    #[test]
    fn the_beginning_of_an_address_is_a_range() {
        let ranges = |text: &str| -> Vec<String> {
            addresses_like(text).iter().map(|range| format!("{}-{}", range.start(), range.end())).collect()
        };
        assert_eq!(ranges("10."), ["10.0.0.0-10.255.255.255"]);
        assert_eq!(ranges("30"), ["30.0.0.0-30.255.255.255"]);
        assert_eq!(ranges("203.0.113."), ["203.0.113.0-203.0.113.255"]);
        assert_eq!(ranges("203.0.11"), ["203.0.11.0-203.0.11.255", "203.0.110.0-203.0.119.255"]);
        assert_eq!(ranges("8.8.8.2"), ["8.8.8.2-8.8.8.2", "8.8.8.20-8.8.8.29", "8.8.8.200-8.8.8.255"]);
        assert_eq!(ranges("8.8.8.0"), ["8.8.8.0-8.8.8.0"]);
        assert_eq!(ranges("255.255.255.255"), ["255.255.255.255-255.255.255.255"]);
        for none in ["", "300", ".", "10..", "256.1", "1.2.3.4.", "1.2.3.4.5", "a.b", "+1.2", "web.1", "1.02", "1234"] {
            assert_eq!(ranges(none), [""; 0], "{none}");
        }
    }

    fn account(name: &str) -> AccountId {
        name.parse().unwrap()
    }

    /// Instances 10.0.0.1 to .40 of two accounts in turn, each with an ordinary public IP; the first has an EIP instead.
    fn ledger() -> Ledger {
        let pool = PoolDefinition { prefix: "8.8.8.0/24".parse().unwrap(), kind: PoolKind::Routed };
        let pool = Pool::new([pool], &[], ReservedRanges::Refuse, std::time::Duration::ZERO).unwrap();
        let mut ledger = Ledger::new(pool);
        let mut perform = |command| {
            let change = ledger.decide(command, Time(1), Capacity::UNLIMITED).unwrap();
            ledger.apply(&change);
        };
        for number in 1..=40_u8 {
            let owner = account(if number % 2 == 1 { "odd" } else { "even" });
            let id = format!("ins-{number:02}").parse().unwrap();
            let new = NewInstance::new(id, owner, "vpc".parse().unwrap(), [10, 0, 0, number].into());
            perform(Command::CreateInstance(NewInstance {
                name: Some(format!("web-{number:02}")),
                bandwidth_mbps: 1,
                ..new
            }));
        }
        let new = NewEip::new("eip-1".parse().unwrap(), account("odd"));
        perform(Command::AllocateEip(NewEip { name: Some("front".into()), ..new }));
        let (eip, instance) = ("eip-1".parse().unwrap(), "ins-01".parse().unwrap());
        perform(Command::BindEip { account: account("odd"), eip, instance });
        ledger
    }

    fn found(text: &str, most: usize, effort: usize) -> (Vec<String>, bool) {
        let found = ledger().search_instances(&account("odd"), text, most, effort);
        (found.items.iter().map(ToString::to_string).collect(), found.cut_short)
    }

    #[test]
    fn instances_are_found_by_what_they_begin_with() {
        let all = |text: &str| found(text, 100, 1000).0;
        assert_eq!(all("ins-03"), ["ins-03"]);
        assert_eq!(all("ins-0"), ["ins-01", "ins-03", "ins-05", "ins-07", "ins-09"]);
        assert_eq!(all("web-1"), ["ins-11", "ins-13", "ins-15", "ins-17", "ins-19"]);
        assert_eq!(all("10.0.0.3"), ["ins-03", "ins-31", "ins-33", "ins-35", "ins-37", "ins-39"]);
        assert_eq!(all("8.8.8.2"), ["ins-03", "ins-21", "ins-23", "ins-25", "ins-27", "ins-29"]);
        assert_eq!(all("8.8.8.40"), ["ins-01"], "by its EIP");
        assert_eq!(all("8.8.8.0"), [""; 0], "the address it gave up");
        assert_eq!(all("ins-02"), [""; 0], "another account's");
        assert_eq!(all("nothing"), [""; 0]);
    }

    #[test]
    fn a_search_ends_with_enough_found_or_looked_at() {
        assert_eq!(found("web", 3, 1000), (vec!["ins-01".into(), "ins-03".into(), "ins-05".into()], true));
        assert!(!found("web", 100, 1000).1);
        // All addresses of both accounts are looked at before those of one are found.
        let (items, cut_short) = found("10.", 100, 10);
        assert_eq!((items.len(), cut_short), (5, true));
    }

    #[test]
    fn eips_are_found_by_themselves_and_by_whom_they_serve() {
        let all = |owner: &str, text: &str| -> Vec<String> {
            let found = ledger().search_eips(&account(owner), text, 10, 1000);
            found.items.iter().map(ToString::to_string).collect()
        };
        for text in ["eip-", "fro", "8.8.8.4", "ins-01", "web-01", "10.0.0.1"] {
            assert_eq!(all("odd", text), ["eip-1"], "{text}");
            assert_eq!(all("even", text), [""; 0], "{text}");
        }
        assert_eq!(all("odd", "ins-03"), [""; 0]);
    }
}
