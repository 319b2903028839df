//! Changes that share a flush, and flushes that fail.

use futures_util::future::join_all;
use rusqlite::Connection;

use super::*;

pub(super) fn roomy(state_dir: &Path) -> Config {
    Config { pools: vec!["8.8.8.0/24".parse().unwrap()], max_pairs: 300, max_instances: 300, ..config(state_dir) }
}

/// As [`gateway`], with ids for more than a few.
pub(super) async fn large(config: &Config, path: &Detached) -> Gateway<Detached> {
    let mut drawn = 0_u64;
    let chance = move || {
        drawn += 1;
        [0, 5, 10, 15, 20, 25, 30, 35].map(|shift| (drawn >> shift & 31) as u8)
    };
    let outside = Outside::new(|| Time(1_795_174_980_000), chance);
    Opened::new(config, &Environment::default()).unwrap().take_over(path.clone(), outside).await.unwrap()
}

/// How many transactions were completed in the log, which is how many flushes there were since it was empty.
fn flushes(state_dir: &Path) -> usize {
    let log = fs::read(state_dir.join("state.db-wal")).unwrap_or_default();
    let page = log.get(8..12).map_or(0, |size| u32::from_be_bytes(size.try_into().unwrap()) as usize);
    let salt = log.get(16..24).unwrap_or_default().to_vec();
    let frames = log.get(32..).unwrap_or_default().chunks_exact(24 + page.max(1));
    // Frames of an earlier round of the log carry another salt; the size of the database completes a transaction.
    frames.filter(|frame| frame[8..16] == salt && frame[4..8] != [0; 4]).count()
}

/// Serves until the work is done.
pub(super) async fn serving<T>(gateway: Gateway<Detached>, work: impl AsyncFnOnce(Handle) -> T) -> T {
    let (handle, jobs) = Handle::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = async {
        let done = work(handle).await;
        stop.send(()).unwrap();
        done
    };
    let (outcome, done) = tokio::join!(gateway.run(jobs, async { drop(stopped.await) }), working);
    outcome.unwrap();
    done
}

#[tokio::test]
async fn changes_that_arrive_during_a_flush_share_the_next() {
    const CLIENTS: u8 = 32;
    const EACH: u8 = 7;
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let mut first = large(&config, &path).await;
    create(&mut first, 255, 0).unwrap();
    let before = flushes(directory.path());
    let client = |handle: Handle, client: u8| async move {
        for turn in 0..EACH {
            let last = client * EACH + turn;
            handle.change(move |operations| create(operations, last, 5)).await.unwrap().unwrap();
        }
    };
    let flushed = serving(first, async |handle| {
        join_all((0..CLIENTS).map(|number| client(handle.clone(), number))).await;
        flushes(directory.path()) - before
    })
    .await;
    let changes = usize::from(CLIENTS) * usize::from(EACH);
    println!("{changes} changes of {CLIENTS} clients by {flushed} flushes: {} a flush", changes / flushed);
    assert!(flushed <= usize::from(EACH) + 1, "{flushed}");

    // All of them are stored, and no address twice.
    let again = gateway(&config, &path).await.unwrap();
    assert_eq!((again.ledger.instances().len(), again.ledger.association_count()), (changes + 1, changes));
    assert_eq!(again.ledger.check_invariants(), Ok(()));
    assert_eq!(path.recording().maps, maps_of(&again.ledger));
}

#[tokio::test]
async fn each_of_a_group_is_decided_after_the_ones_before_it_and_in_effect_when_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut first = gateway(&config, &path).await.unwrap();
    create(&mut first, 1, 5).unwrap();
    path.told();
    let maps = || path.recording().maps.clone();
    serving(first, async |handle| {
        let one = async {
            let made = handle.change(|operations| create(operations, 2, 5)).await.unwrap();
            (made.map(drop), maps().contains_key(&("vpc-default".parse().unwrap(), [10, 0, 0, 2].into())))
        };
        let same = async { handle.change(|operations| create(operations, 2, 0)).await.unwrap().unwrap_err().code() };
        let full = async { handle.change(|operations| create(operations, 3, 5)).await.unwrap().unwrap_err().code() };
        let other = async { handle.change(|operations| create(operations, 3, 0)).await.unwrap().map(drop) };
        // Asked for in the same moment, it sees the group whole.
        let read = async { handle.ask(|operations| operations.ledger().instances().len()).await.unwrap() };
        let told = tokio::join!(one, same, full, other, read);
        assert_eq!(told, ((Ok(()), true), "private-address-taken", "capacity-reached", Ok(()), 3));
    })
    .await;
    assert_eq!(
        path.told(),
        [Told::Set(host(2, Some(1))), Told::Announce([8, 8, 8, 1].into()), Told::Set(host(3, None))]
    );
}

#[tokio::test]
async fn a_flush_that_fails_acknowledges_none_of_its_group_and_leaves_no_half() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let mut first = gateway(&config, &path).await.unwrap();
    create(&mut first, 1, 5).unwrap();
    path.told();
    let before = first.ledger.clone();
    let somebody = Connection::open(directory.path().join("state.db")).unwrap();
    somebody.execute_batch("BEGIN IMMEDIATE").unwrap();
    let three = async |handle: &Handle| {
        let change = |last| handle.change(move |operations| create(operations, last, 5));
        let (one, two, same) = tokio::join!(change(2), change(3), change(3));
        [one, two, same].map(|made| made.unwrap().map(drop).map_err(|error| error.code()))
    };
    serving(first, async |handle| {
        // Also what was refused only because of one that failed.
        assert_eq!(three(&handle).await, [Err("not-stored"); 3]);
        assert!(handle.ask(move |operations| *operations.ledger() == before).await.unwrap());
        assert_eq!(path.told(), []);
        somebody.execute_batch("ROLLBACK").unwrap();
        assert_eq!(three(&handle).await, [Ok(()), Ok(()), Err("private-address-taken")]);
        let earlier = flushes(directory.path());
        let change = |last| handle.change(move |operations| create(operations, last, 5));
        let (one, two) = tokio::join!(change(4), change(5));
        assert!(one.unwrap().is_ok() && two.unwrap().is_ok());
        assert_eq!(flushes(directory.path()) - earlier, 1, "flushes are shared again");
    })
    .await;
    let again = gateway(&config, &path).await.unwrap();
    assert_eq!(again.ledger.instances().len(), 5);
    assert_eq!(path.recording().maps, maps_of(&again.ledger));
}

#[tokio::test]
async fn a_map_that_fails_one_of_a_group_is_told_to_those_it_failed() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let first = gateway(&config, &path).await.unwrap();
    path.recording().fails = true;
    serving(first, async |handle| {
        let create = |last| handle.change(move |operations| create(operations, last, 5));
        let allocate = handle.change(|operations| Ok::<_, GatewayError>(allocate(operations)));
        let (eip, one, two) = tokio::join!(allocate, create(1), create(2));
        assert_eq!(one.unwrap().unwrap_err().code(), "not-in-effect");
        // Nothing of it goes into a map.
        assert!(eip.unwrap().is_ok());
        assert_eq!(two.unwrap().unwrap_err().code(), "not-in-effect");
        path.recording().fails = false;
        assert!(create(3).await.unwrap().is_ok());
        assert_eq!(path.recording().maps.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_may_not_be_believed_is_read_only_until_it_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    create(&mut gateway, 1, 5).unwrap();
    path.told();
    gateway.read_only = Some("the disk said no".into());
    let refused = create(&mut gateway, 2, 5).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Internal, "read-only"));
    assert_eq!(
        refused.to_string(),
        "the store is read-only and nothing was changed, because the disk said no; it is reopened and checked every second"
    );
    assert_eq!(gateway.status().problems, ["the store is read-only: the disk said no"]);
    assert_eq!((gateway.ledger.instances().len(), path.told()), (1, vec![]));

    // Somebody reads, so the log cannot be emptied: it stays as it is, and says why.
    let reader = Connection::open(directory.path().join("state.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM instances").unwrap();
    gateway.mend();
    assert!(gateway.status().problems[0].contains("locked"), "{:?}", gateway.status().problems);
    drop(reader);

    // A change of the failed flush that is on the disk after all is brought into effect.
    let other = Connection::open(directory.path().join("state.db")).unwrap();
    other.execute("DELETE FROM instances", []).unwrap();
    drop(other);
    gateway.mend();
    assert_eq!(gateway.status().problems, Vec::<String>::new());
    assert_eq!(gateway.ledger.instances().len(), 0);
    assert_eq!(path.told(), [Told::Reconcile(0)]);
    create(&mut gateway, 2, 5).unwrap();
}
