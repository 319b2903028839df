//! The configuration as the data plane wants it.

use crate::address::VpcId;
use crate::config::{Config, Link};
use crate::dataplane::{Limits, LinkPlan, Plan, Tuning};

pub(super) fn plan(config: &Config) -> Plan {
    Plan {
        uplinks: uplinks(config),
        downlinks: config.downlinks.iter().map(|down| link_plan(&down.link, Some(down.vpc.clone()))).collect(),
        pools: config.pools.clone(),
        tuning: tuning(config),
        mode: config.xdp_mode,
        bpf_dir: config.bpf_dir.clone(),
        state_dir: config.state_dir.clone(),
        limits: Limits { pairs: config.max_pairs, instances: config.max_instances, counters: config.counters },
        program_log: config.program_log,
        allow_private_mount: config.allow_private_mount,
        metadata: config.metadata,
    }
}

pub(super) fn uplinks(config: &Config) -> Vec<LinkPlan> {
    config.uplinks.iter().map(|link| link_plan(link, None)).collect()
}

fn link_plan(link: &Link, vpc: Option<VpcId>) -> LinkPlan {
    LinkPlan { interface: link.interface.clone(), tags: link.tags.clone(), vpc }
}

pub(super) fn tuning(config: &Config) -> Tuning {
    Tuning {
        martian_exceptions: config.martian_exceptions.clone(),
        icmp_errors_per_second: config.icmp_errors_per_second,
        icmp_error_burst: config.icmp_error_burst,
        monitor_per_second: config.monitor_per_second,
    }
}
