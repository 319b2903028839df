//! Every setting, and when a change of it takes effect.

use super::Config;

/// When a changed setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// As soon as the configuration is read again.
    AtOnce,
    /// With the next start of the daemon, which stops no traffic.
    Restart,
}

/// A setting in which two configurations differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name in the file.
    pub key: &'static str,
    /// When it takes effect.
    pub effect: Effect,
}

macro_rules! settings {
    ($($key:ident: $effect:ident,)*) => {
        /// Every key of the file.
        pub(super) const KEYS: &[&str] = &[$(stringify!($key)),*];

        impl Config {
            /// The settings in which `other` differs from this.
            pub fn differences(&self, other: &Config) -> Vec<Difference> {
                // Naming every field makes the compiler ask for one that is missing from the list.
                let Config { $($key),* } = self;
                let mut found = Vec::new();
                $(if *$key != other.$key {
                    found.push(Difference { key: stringify!($key), effect: Effect::$effect });
                })*
                found
            }

            /// This configuration with those settings of `other` that take effect at once.
            pub fn with_immediate(mut self, other: &Config) -> Config {
                $(if Effect::$effect == Effect::AtOnce {
                    self.$key.clone_from(&other.$key);
                })*
                self
            }
        }
    };
}

settings! {
    uplinks: Restart,
    downlinks: Restart,
    pools: Restart,
    exclude: Restart,
    allow_reserved_pools: Restart,
    private_ranges: AtOnce,
    cool_down: AtOnce,
    ordinary_ip_on_bind: AtOnce,
    ordinary_ip_on_unbind: AtOnce,
    return_ordinary_ip: AtOnce,
    change_ordinary_ip: AtOnce,
    eips_per_account: AtOnce,
    reallocations_per_day: AtOnce,
    recycle_bin: AtOnce,
    xdp_mode: Restart,
    state_dir: Restart,
    bpf_dir: Restart,
    socket: Restart,
    socket_mode: Restart,
    socket_group: Restart,
    martian_exceptions: AtOnce,
    max_pairs: Restart,
    max_instances: Restart,
    counters: Restart,
    icmp_errors_per_second: AtOnce,
    icmp_error_burst: AtOnce,
    monitor_per_second: AtOnce,
    program_log: Restart,
    allow_private_mount: Restart,
    log_level: AtOnce,
    log_format: Restart,
    metrics_listen: Restart,
    metrics_anywhere: Restart,
    metrics_top: AtOnce,
    credentials: Restart,
    tls_certificate: Restart,
    tls_key: Restart,
    region: Restart,
    zone: Restart,
    api_listen: Restart,
    api_anywhere: Restart,
    api_changes_per_second: AtOnce,
    api_reads_per_second: AtOnce,
    api_weak_signatures: AtOnce,
    console_listen: Restart,
    console_anywhere: Restart,
    console_names: AtOnce,
    metadata: Restart,
    metadata_token: AtOnce,
    metadata_per_second: AtOnce,
    metadata_hop_limit: Restart,
}
