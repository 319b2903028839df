//! The real daemon as a gateway: filled once, then started as after a boot, with its store as it was left.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nat_userspace::address::VpcId;
use nat_userspace::dataplane::{Limits, LinkPlan, Mode, Plan, ProgramLog, Tuning};

use super::addresses::Pairs;
use super::gateway::{Ends, PATIENCE};
use super::kit::{Kit, cpus};
use super::loading::{self, Loading};
use super::meter::{self, Place};
use super::site::Site;
use super::traffic::Traffic;
use super::wires;
use crate::lab::remains::Undo;
use crate::lab::{Daemon, Settings, wait};

/// Starts the daemon with these pairs in its store and says how long it took until it forwarded.
pub fn put_up(undo: &Undo, kit: &mut Kit, site: &Site, pairs: Pairs, ends: Ends) -> Result<(Daemon, Loading)> {
    let daemon = Daemon::new(site.gateway(), &site.directory, undo);
    let config = site.directory.join("eipgate.toml");
    fs::write(&config, configuration(pairs)).with_context(|| format!("cannot write {}", config.display()))?;
    let settings = Settings {
        pools: Vec::new(),
        more: vec!["--config".into(), config.display().to_string()],
        ..Settings::default()
    };
    import(&daemon, site, &settings, pairs)?;
    let began = Instant::now();
    daemon.launch(settings)?;
    let mut seconds = None;
    if ends == Ends::Sinks {
        wait_to_forward(kit, site, &daemon, pairs, began)?;
        seconds = Some(began.elapsed().as_secs_f64());
    }
    wait_to_serve(&daemon, began)?;
    let serving = began.elapsed().as_secs_f64();
    let pid = daemon.pid().context("the daemon has ended")?;
    let maps = loading::maps_of(pid)?;
    let rss_bytes = loading::resident(pid)?;
    let loading = Loading {
        seconds: seconds.unwrap_or(serving),
        serving_seconds: Some(serving),
        store_seconds: Some(store_seconds(&daemon.log())?),
        kernel_bytes: maps.plain,
        counter_bytes: maps.per_cpu,
        rss_bytes,
        maps: maps.named,
    };
    Ok((daemon, loading))
}

/// How long the daemon has read its store, and looked whether that is sound, as it says in its log.
fn store_seconds(log: &str) -> Result<[f64; 2]> {
    let milliseconds = |field: &str| -> Result<f64> {
        let value = log.split(field).nth(1).and_then(|rest| rest.split_whitespace().next());
        let value = value.with_context(|| format!("the daemon does not say {field} in its log:\n{log}"))?;
        Ok(value.parse::<f64>().with_context(|| format!("{field}{value}"))? / 1e3)
    };
    Ok([milliseconds("read_ms=")?, milliseconds("checked_ms=")?])
}

/// What the maps are made for.
fn room(pairs: Pairs) -> u32 {
    pairs.count.max(1024)
}

/// What the daemon was asked to be, for whoever writes its maps in its place.
pub fn plan(daemon: &Daemon, pairs: Pairs, vpc: &VpcId) -> Result<Plan> {
    let link = |interface: &str, vpc| LinkPlan { interface: interface.into(), tags: Vec::new(), vpc };
    let pools = pairs.pools().iter().map(|pool| pool.parse().map_err(anyhow::Error::from)).collect::<Result<_>>()?;
    let room = room(pairs);
    Ok(Plan {
        uplinks: vec![link("up0", None)],
        downlinks: vec![link("down0", Some(vpc.clone()))],
        pools,
        mode: Mode::Native,
        bpf_dir: daemon.maps(),
        state_dir: daemon.state(),
        limits: Limits { pairs: room, instances: room, counters: true },
        tuning: Tuning::default(),
        program_log: ProgramLog::Off,
        allow_private_mount: false,
        metadata: false,
    })
}

fn configuration(pairs: Pairs) -> String {
    let pools: Vec<String> = pairs.pools().into_iter().map(|pool| format!("{pool:?}")).collect();
    let room = room(pairs);
    format!("pools = [{}]\nmax_pairs = {room}\nmax_instances = {room}\n", pools.join(", "))
}

/// Fills the store by the daemon's own bulk command, and leaves nothing but the store.
fn import(daemon: &Daemon, site: &Site, settings: &Settings, pairs: Pairs) -> Result<()> {
    let list = site.directory.join("pairs.csv");
    let mut text = String::new();
    for (index, (public, private)) in pairs.all().enumerate() {
        let _ = writeln!(text, "{public},{private},vpc-default,vm-{index}");
    }
    fs::write(&list, text).with_context(|| format!("cannot write {}", list.display()))?;
    daemon.launch(settings.clone())?;
    wait_to_serve(daemon, Instant::now())?;
    let binary = crate::lab::daemon::binary();
    let (socket, list) = (daemon.socket().display().to_string(), list.display().to_string());
    let words = [binary.as_str(), "--socket", &socket, "import", &list, "--as", "ordinary"];
    let finished = site.gateway().output(&words, PATIENCE)?;
    ensure!(finished.success(), "{finished}\nThe daemon's log:\n{}", daemon.log());
    daemon.terminate()?;
    daemon.detach()?;
    Ok(())
}

/// Waits until the daemon says that it serves, as long as it may take.
fn wait_to_serve(daemon: &Daemon, began: Instant) -> Result<()> {
    let pid = daemon.pid().context("the daemon was not started")?;
    let left = PATIENCE.saturating_sub(began.elapsed());
    let said = wait::until("the daemon to serve", left, || {
        let serves = daemon.log().contains("serving");
        (serves || ended(pid)).then_some(serves)
    });
    match said {
        Ok(true) => Ok(()),
        Ok(false) => bail!("the daemon ended, having said:\n{}", daemon.log()),
        Err(error) => Err(error).with_context(|| format!("its log:\n{}", daemon.log())),
    }
}

fn ended(pid: i32) -> bool {
    crate::lab::process::ended(pid, Duration::ZERO).unwrap_or(true)
}

/// Sends packets for the first, the middle and the last pair until all arrive.
fn wait_to_forward(kit: &mut Kit, site: &Site, daemon: &Daemon, pairs: Pairs, began: Instant) -> Result<()> {
    let traffic = Traffic::new(wires::INBOUND, pairs);
    let stream = site.stream(&traffic);
    let place = Place { port: &site.gen0, cpu: cpus() - 1, program: "generate" };
    let pid = daemon.pid().context("the daemon was not started")?;
    for index in [pairs.count - 1, pairs.count / 2, 0] {
        let one = traffic.of_pair(index)(stream);
        loop {
            kit.set_stream(one)?;
            let before = kit.arrived()?;
            meter::generate(kit, place, stream.length, 1)?;
            if kit.arrived()? > before {
                break;
            }
            // Not without a pause: the daemon needs the CPU that packets are sent on.
            thread::park_timeout(Duration::from_millis(2));
            if began.elapsed() > PATIENCE || ended(pid) {
                bail!("eipgate does not forward; its log:\n{}", daemon.log());
            }
        }
    }
    Ok(())
}
