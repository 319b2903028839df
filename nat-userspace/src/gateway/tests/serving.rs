//! What happens to a gateway while it serves: another configuration, somebody watching, somebody measuring.

use std::sync::Mutex;
use std::sync::mpsc::channel as std_channel;

use tokio::sync::{mpsc::unbounded_channel, oneshot};
use tokio::time::timeout;

use super::*;
use crate::dataplane::Tuning;

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn tuning(config: &Config) -> Tuning {
    plan::tuning(config)
}

#[tokio::test]
async fn jobs_are_done_one_after_the_other_until_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(&config(directory.path()), &Detached::default()).await.unwrap();
    let (handle, jobs) = Handle::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let asking = async {
        let created = handle.ask(|operations| create(operations, 1, 5).map(|change| change.taken().count())).await;
        assert_eq!(created, Ok(Ok(1)));
        let refused = handle.ask(|operations| create(operations, 1, 5).unwrap_err()).await.unwrap();
        assert!(matches!(refused, GatewayError::Refused(Refusal::PrivateAddressTaken { .. })));
        stop.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(gateway.run(jobs, stopped), asking);
    outcome.unwrap();
    assert_eq!(handle.ask(|operations| operations.now()).await, Err(GatewayError::Stopping));
}

#[tokio::test]
async fn what_only_a_start_mends_ends_the_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let path = Detached::default();
    let gateway = gateway(&config(directory.path()), &path).await.unwrap();
    path.recording().ends = Some("nobody follows the network any more");
    let (_handle, jobs) = Handle::new();
    let outcome = timeout(SOON, gateway.run(jobs, std::future::pending())).await.unwrap();
    assert_eq!(
        format!("{:#}", outcome.unwrap_err()),
        "stopping, because only a start mends this; traffic goes on: nobody follows the network any more"
    );
}

#[tokio::test]
async fn a_new_configuration_is_in_effect_as_far_as_it_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let written = Arc::new(Mutex::new(config.clone()));
    let reading = Arc::clone(&written);
    let gateway = gateway(&config, &path).await.unwrap();
    let mut gateway = gateway.reading_again_by(Box::new(move || Ok(reading.lock().unwrap().clone())));
    let configuration = gateway.configuration();
    assert_eq!(gateway.reload().unwrap().sentence(), "nothing is different");
    path.told();

    let next = Config {
        cool_down: Duration::from_secs(60),
        martian_exceptions: vec!["10.9.0.0/16".parse().unwrap()],
        max_pairs: 9,
        ..config.clone()
    };
    *written.lock().unwrap() = next.clone();
    let reloaded = gateway.reload().unwrap();
    assert_eq!(
        reloaded.sentence(),
        "in effect: cool_down, martian_exceptions; waiting for a restart, which stops no traffic: max_pairs"
    );
    assert_eq!(path.told(), [Told::Retune(tuning(&next))]);
    assert_eq!(gateway.ledger.pool().cool_down(), Duration::from_secs(60));
    assert_eq!(gateway.status().waiting, ["max_pairs"]);
    assert_eq!(gateway.status().capacity.pairs, 2);
    let in_effect = Config { max_pairs: config.max_pairs, ..next.clone() };
    assert_eq!(**configuration.borrow(), in_effect);

    // An address that is released now rests for as long as is said now.
    create(&mut gateway, 1, 5).unwrap();
    let instance = id_at(&gateway, 1);
    gateway.perform(Command::TerminateInstance { account: account(), instance }).unwrap();
    let now = gateway.now();
    assert_eq!(gateway.ledger.range_totals(now)[0].cooling, 1);
    // It still does in a ledger that is read back because a flush has failed.
    assert_eq!(gateway.restored(gateway.store.load().unwrap()).unwrap(), gateway.ledger);

    // What waited does not wait any more when it is taken back.
    *written.lock().unwrap() = in_effect;
    assert_eq!(gateway.reload().unwrap().sentence(), "nothing is different");
    assert_eq!(gateway.status().waiting, Vec::<&str>::new());
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let written = Arc::new(Mutex::new(None));
    let reading = Arc::clone(&written);
    let gateway = gateway(&config, &path).await.unwrap();
    let mut gateway = gateway.reading_again_by(Box::new(move || {
        reading.lock().unwrap().clone().ok_or_else(|| anyhow::anyhow!("eipgate.toml:3: there is no setting \"x\""))
    }));
    let configuration = gateway.configuration();
    path.told();
    let kept = |gateway: &mut Gateway<Detached>, sentence: &str| {
        let refusal = gateway.reload().unwrap_err();
        assert_eq!(refusal.to_string(), format!("the configuration in effect is kept: {sentence}"));
        assert_eq!((refusal.code(), refusal.kind()), ("not-reloaded", Kind::Invalid));
        assert_eq!(**configuration.borrow(), config);
        assert_eq!(gateway.ledger.pool().cool_down(), Duration::ZERO);
    };
    kept(&mut gateway, "eipgate.toml:3: there is no setting \"x\"");
    let other = Config { cool_down: Duration::from_secs(60), icmp_error_burst: 1, ..config.clone() };
    let reserved = Config { pools: vec!["192.168.0.0/24".parse().unwrap()], ..other.clone() };
    *written.lock().unwrap() = Some(reserved.clone());
    let sentence = format!("{:#}", check_configuration(&reserved).unwrap_err());
    kept(&mut gateway, &sentence);
    assert_eq!(path.told(), []);

    // The packet path refuses it: it is told the old again.
    *written.lock().unwrap() = Some(other.clone());
    path.recording().fails = true;
    kept(&mut gateway, "the packet path did not take it: the kernel said no");
    assert_eq!(path.told(), [Told::Retune(tuning(&other)), Told::Retune(tuning(&config))]);
    assert!(gateway.status().dirty);
}

#[tokio::test]
async fn a_loop_that_hangs_has_no_pulse() {
    let directory = tempfile::tempdir().unwrap();
    let (beat, mut beats) = unbounded_channel();
    let gateway = gateway(&config(directory.path()), &Detached::default()).await.unwrap();
    let gateway = gateway.with_pulse(Duration::from_millis(1), move || {
        // The test may have ended.
        let _ = beat.send(());
    });
    let (handle, jobs) = Handle::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::task::spawn_blocking(move || {
        let stopped = async { drop(stopped.await) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(gateway.run(jobs, stopped))
    });
    for _ in 0..3 {
        timeout(SOON, beats.recv()).await.unwrap().unwrap();
    }
    let (hang, hung) = std_channel::<()>();
    let (begun, begins) = oneshot::channel();
    let asked = tokio::spawn(async move {
        let work = move |_: &mut dyn Operations| {
            begun.send(()).unwrap();
            // Until the other end goes away.
            let _ = hung.recv();
        };
        handle.ask(work).await
    });
    timeout(SOON, begins).await.unwrap().unwrap();
    while beats.try_recv().is_ok() {}
    assert!(timeout(Duration::from_millis(200), beats.recv()).await.is_err(), "a pulse from a loop that hangs");
    drop(hang);
    timeout(SOON, asked).await.unwrap().unwrap().unwrap();
    timeout(SOON, beats.recv()).await.unwrap().unwrap();
    stop.send(()).unwrap();
    timeout(SOON, served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_gateway_measures_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = Detached::default();
    let mut gateway = gateway(&config(directory.path()), &path).await.unwrap();
    create(&mut gateway, 1, 5).unwrap();
    path.recording().fails = true;
    create(&mut gateway, 2, 5).unwrap_err();
    gateway.reconcile();
    path.recording().fails = false;
    gateway.reconcile();
    let tally = gateway.tally.clone();
    assert_eq!((tally.flushes.count(), tally.effects.count(), tally.refused_commits), (2, 1, 0));
    assert_eq!((tally.reconciliations, tally.failed_reconciliations), (2, 1));
    let vitals = gateway.vitals();
    assert_eq!((vitals.status.pairs, vitals.pools[0].held, &vitals.tally), (2, 2, &tally));
}
