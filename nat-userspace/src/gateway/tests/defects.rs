//! Work that panics on the gateway's task: the gateway serves on, and memory, store and maps say the same.

use super::flushes::{large, roomy, serving};
use super::*;
use crate::store::examine;

/// So many instances are there, wherever one looks.
async fn agree(handle: &Handle, config: &Config, path: &Detached, instances: usize) {
    let seen = handle.ask(|operations| {
        let problems = operations.status().problems;
        let ledger = operations.ledger();
        (ledger.instances().len(), ledger.check_invariants(), maps_of(ledger), problems)
    });
    let (count, sound, maps, problems) = seen.await.unwrap();
    assert_eq!((count, sound, problems), (instances, Ok(()), vec![]));
    assert_eq!(path.recording().maps, maps);
    let stored = examine(&config.state_dir).unwrap().unwrap();
    assert_eq!((stored.damage, stored.contradictions), (vec![], vec![]));
    assert_eq!(stored.snapshot.unwrap().instances.len(), instances);
}

fn creation(operations: &mut dyn Operations, last: u8) -> Command {
    let (vpc, private) = ("vpc-default".parse().unwrap(), [10, 0, 0, last].into());
    let new = NewInstance::new(operations.new_instance_id(), account(), vpc, private);
    Command::CreateInstance(NewInstance { bandwidth_mbps: 5, ..new })
}

/// Work that makes an instance and panics when it is so far.
fn breaking(operations: &mut dyn Operations, last: u8, at: Stage) {
    let command = creation(operations, last);
    let made = operations.perform_telling(command, &mut |progress| assert!(progress.stage != at, "a defect"));
    made.unwrap();
}

#[tokio::test]
async fn work_that_panics_ends_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let mut gateway = large(&config, &path).await;
    create(&mut gateway, 1, 5).unwrap();
    path.told();
    serving(gateway, async |handle| {
        let asked = handle.ask(|operations| assert!(operations.ledger().instances().len() > 1, "a defect"));
        assert_eq!(asked.await, Err(GatewayError::Defect));
        let changed = handle.change(|_| -> Result<(), GatewayError> { panic!("a defect") });
        assert_eq!(changed.await, Err(GatewayError::Defect));
        assert_eq!(path.told(), [], "nothing was touched, so nothing is looked at");
        agree(&handle, &config, &path, 1).await;
        let made = handle.change(|operations| create(operations, 2, 5)).await.unwrap();
        assert!(made.is_ok());
        agree(&handle, &config, &path, 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_that_panics_anywhere_is_made_in_full_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let mut gateway = large(&config, &path).await;
    create(&mut gateway, 1, 5).unwrap();
    serving(gateway, async |handle| {
        let broken = async |last, stage| {
            let asked = handle.ask(move |operations| breaking(operations, last, stage)).await;
            let changed = handle.change(move |operations| {
                breaking(operations, last + 1, stage);
                Ok::<_, GatewayError>(())
            });
            assert_eq!((asked, changed.await), (Err(GatewayError::Defect), Err(GatewayError::Defect)), "{stage:?}");
        };
        broken(2, Stage::Deciding).await;
        agree(&handle, &config, &path, 1).await;
        broken(4, Stage::Committing).await;
        agree(&handle, &config, &path, 1).await;
        // What was stored by then is brought into effect.
        broken(6, Stage::Writing).await;
        agree(&handle, &config, &path, 3).await;
        path.recording().panics = true;
        let changed = handle.change(|operations| create(operations, 8, 5)).await;
        assert_eq!(changed.map(drop), Err(GatewayError::Defect));
        agree(&handle, &config, &path, 4).await;
        // And work that panics when its change is made leaves it made.
        let late = handle.ask(|operations| {
            create(operations, 9, 5).unwrap();
            panic!("a defect")
        });
        assert_eq!(late.await, Err::<(), _>(GatewayError::Defect));
        agree(&handle, &config, &path, 5).await;
    })
    .await;
    let again = large(&config, &path).await;
    assert_eq!(again.ledger.instances().len(), 5);
}

#[tokio::test]
async fn of_a_group_only_the_one_that_panics_comes_to_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let mut gateway = large(&config, &path).await;
    create(&mut gateway, 1, 5).unwrap();
    serving(gateway, async |handle| {
        let change = |last| {
            let made = handle.change(move |operations| create(operations, last, 5));
            async move { made.await.unwrap().map(drop) }
        };
        let panicking = handle.change(|operations| {
            create(operations, 3, 5).unwrap();
            assert!(operations.ledger().instances().len() > 9, "a defect");
            Ok::<_, GatewayError>(())
        });
        let at_once = handle.change(|_| -> Result<(), GatewayError> { panic!("a defect") });
        let (before, broken, after, idle, last) = tokio::join!(change(2), panicking, change(4), at_once, change(5));
        assert_eq!((before, after, last), (Ok(()), Ok(()), Ok(())));
        assert_eq!((broken, idle), (Err(GatewayError::Defect), Err(GatewayError::Defect)));
        agree(&handle, &config, &path, 4).await;
        assert!(handle.ask(|operations| id_at_is_free(operations, 3)).await.unwrap());

        // One whose entry is written when the packet path panics is told so, and is in effect all the same.
        path.recording().panics = true;
        let (first, second) = tokio::join!(change(6), change(7));
        assert_eq!((first, second), (Err(GatewayError::Defect), Ok(())));
        agree(&handle, &config, &path, 6).await;
    })
    .await;
}

fn id_at_is_free(operations: &mut dyn Operations, last: u8) -> bool {
    operations.ledger().instance_at(&"vpc-default".parse().unwrap(), [10, 0, 0, last].into()).is_none()
}

#[tokio::test]
async fn what_the_gateway_does_by_itself_may_panic_too() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (roomy(directory.path()), Detached::default());
    let mut gateway = large(&config, &path).await;
    create(&mut gateway, 1, 5).unwrap();
    create(&mut gateway, 2, 5).unwrap();
    path.recording().panics = true;
    let instance = id_at(&gateway, 1);
    gateway.observe(Command::TerminateInstance { account: account(), instance });
    assert_eq!(gateway.ledger.instances().len(), 1);
    serving(gateway, async |handle| agree(&handle, &config, &path, 1).await).await;
}
