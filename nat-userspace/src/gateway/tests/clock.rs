//! Clocks that jump ahead, go back and stop while the gateway serves, and chance that draws what is taken.

use std::sync::Mutex;

use super::*;

/// A clock that is set by hand, and a steady one beside it, both in milliseconds.
#[derive(Clone, Default)]
struct Clocks(Arc<Mutex<[u64; 2]>>);

impl Clocks {
    fn outside(&self) -> Outside {
        let ([wall, steady], drawn) = ([self.clone(), self.clone()], AtomicU8::new(0));
        Outside::new(move || Time(wall.read(0)), move || [drawn.fetch_add(1, Ordering::Relaxed); 8])
            .with_steady(move || Duration::from_millis(steady.read(1)))
    }

    fn read(&self, which: usize) -> u64 {
        self.0.lock().unwrap()[which]
    }

    fn set(&self, milliseconds: u64) {
        self.0.lock().unwrap()[0] = milliseconds;
    }

    /// Time goes by, and both clocks show it.
    fn pass(&self, span: Duration) {
        self.0.lock().unwrap().iter_mut().for_each(|clock| *clock += span.as_millis() as u64);
    }
}

const NOW: u64 = 1_795_174_980_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DECADE: Duration = Duration::from_secs(10 * 365 * 86_400);

fn free(gateway: &Gateway<Detached>, at: Time) -> u64 {
    gateway.ledger.range_totals(at).iter().map(|totals| totals.free).sum()
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_and_back_stops_no_timer_and_turns_no_history_around() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { cool_down: 10 * MINUTE, ..config(directory.path()) };
    let (clocks, path) = (Clocks::default(), Detached::default());
    clocks.set(NOW);
    let opened = Opened::new(&config, &Environment::default()).unwrap();
    let mut gateway = opened.take_over(path, clocks.outside()).await.unwrap();
    let mut times = Vec::new();
    let mut turn = |gateway: &mut Gateway<Detached>| {
        times.push(gateway.now());
        create(gateway, 1, 5).unwrap();
        let instance = id_at(gateway, 1);
        gateway.perform(Command::TerminateInstance { account: account(), instance }).unwrap();
        times.push(gateway.now());
    };
    let all = free(&gateway, Time(NOW));
    turn(&mut gateway);
    let at = gateway.now();
    assert_eq!(free(&gateway, at), all - 1, "one is cooling down");

    // Ten years ahead: what rested has rested, and everything goes on.
    clocks.set(NOW + DECADE.as_millis() as u64);
    turn(&mut gateway);
    let ahead = gateway.now();
    assert_eq!(free(&gateway, ahead), all - 1, "the first is free, the second rests");

    // Back, and an hour more: time stands where it was, and from there goes on.
    clocks.set(NOW - HOUR.as_millis() as u64);
    turn(&mut gateway);
    assert!(gateway.now() >= ahead);
    let at = gateway.now();
    assert_eq!(free(&gateway, at), all - 2, "both rest");
    clocks.pass(11 * MINUTE);
    let at = gateway.now();
    assert!(at.0 >= ahead.0 + (11 * MINUTE).as_millis() as u64);
    assert_eq!(gateway.now(), at, "what has passed is counted once, however often somebody asks");
    assert_eq!(free(&gateway, at), all, "nothing rests for ten years because a clock was set back");

    // A clock that stands still.
    turn(&mut gateway);
    turn(&mut gateway);
    assert!(times.is_sorted(), "{times:?}");
    let events = gateway.past().history.open().unwrap().unwrap().after(0, 1000).unwrap();
    let moments: Vec<Time> = events.iter().map(|event| event.at).collect();
    assert!(moments.len() >= 20 && moments.is_sorted(), "{moments:?}");
}

/// A clock ran ahead, was set right, and then the daemon was restarted.
#[tokio::test]
async fn after_a_restart_nothing_rests_for_ten_years_because_a_clock_ran_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { cool_down: 10 * MINUTE, ..config(directory.path()) };
    let clocks = Clocks::default();
    clocks.set(NOW + DECADE.as_millis() as u64);
    let start =
        || Opened::new(&config, &Environment::default()).unwrap().take_over(Detached::default(), clocks.outside());
    let mut gateway = start().await.unwrap();
    let at = gateway.now();
    let all = free(&gateway, at);
    create(&mut gateway, 1, 5).unwrap();
    let instance = id_at(&gateway, 1);
    gateway.perform(Command::TerminateInstance { account: account(), instance }).unwrap();
    drop(gateway);

    clocks.set(NOW);
    let mut gateway = start().await.unwrap();
    let at = gateway.now();
    assert_eq!((at, free(&gateway, at)), (Time(NOW), all - 1));
    clocks.pass(9 * MINUTE);
    let at = gateway.now();
    assert_eq!(free(&gateway, at), all - 1, "it rests as long as others, from the restart on");
    clocks.pass(2 * MINUTE);
    let at = gateway.now();
    assert_eq!(free(&gateway, at), all);
}

#[test]
fn an_id_in_use_is_drawn_again_and_time_never_goes_back() {
    let mut draws = [[0; 8], [0; 8], [1, 2, 3, 31, 32, 33, 254, 255]].into_iter();
    let mut ticks = [5, 3, 7].into_iter();
    let mut outside =
        Outside::new(move || Time(ticks.next().unwrap()), move || draws.next().unwrap()).with_steady(|| Duration::ZERO);
    let taken: EipId = outside.draw_id("eip-", |_| true);
    assert_eq!(taken.as_str(), "eip-00000000");
    let free: EipId = outside.draw_id("eip-", |id| *id != taken);
    assert_eq!(free.as_str(), "eip-123z01yz");
    assert_eq!([outside.now(), outside.now(), outside.now()], [Time(5), Time(5), Time(7)]);
    let mut draws = [2, 1, 2, 0, 1, 3].map(|byte| [byte; 8]).into_iter();
    let mut outside = Outside::new(|| Time(0), move || draws.next().unwrap());
    let several: Vec<EipId> = outside.draw_ids("eip-", 3, |id: &EipId| id.as_str() != "eip-00000000");
    assert_eq!(several.iter().map(EipId::as_str).collect::<Vec<_>>(), ["eip-11111111", "eip-22222222", "eip-33333333"]);
}
