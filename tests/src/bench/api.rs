//! What calls to the API cost where an account has a million addresses. The daemon has one core, its clients another; calls
//! are signed before they are timed, and every answer is looked at.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::Serialize;
use serde_json::{Value, json};

use super::addresses::Pairs;
use super::gateway::PATIENCE;
use super::kit::cpus;
use super::meter;
use super::stats::{Summary, quantile};
use crate::caller::{Caller, signed};
use crate::lab::edges::{self, USER};
use crate::lab::remains::Undo;
use crate::lab::wait::{RaisedAtEnd, locked};
use crate::lab::{Lab, Settings};

/// Clients that look.
const READERS: usize = 8;
/// Clients that change something, all at one time.
const WRITERS: usize = 64;
/// Different calls of a row.
const CALLS: usize = 1000;

/// What one kind of call came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Api {
    /// The call.
    pub call: String,
    /// Addresses that the account has.
    pub addresses: u32,
    /// Clients at one time.
    pub clients: usize,
    /// Calls a second by all of them, in each round.
    pub per_second: Vec<f64>,
    /// CPU time of the daemon for a call, in microseconds, in each round.
    pub cpu_us: Vec<f64>,
    /// From the sending of a call to the end of its answer, in microseconds, each.
    pub latencies_us: Vec<f64>,
}

impl Api {
    /// The latency below which this part of all lies, in microseconds.
    pub fn latency(&self, part: f64) -> f64 {
        quantile(&self.latencies_us, part)
    }

    /// Calls a second, over all rounds.
    pub fn rate(&self) -> Option<Summary> {
        Summary::of(&self.per_second)
    }
}

/// How long, how often, and among how many.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Addresses.
    pub addresses: u32,
    /// Turns of every row.
    pub rounds: usize,
    /// How long one is.
    pub turn: Duration,
}

/// A row: its calls, which take turns, and how many make them.
struct Row {
    call: &'static str,
    clients: usize,
    calls: Vec<(&'static str, Value)>,
    /// Whether somebody else walks all addresses meanwhile.
    beside_a_walk: bool,
}

/// Nothing counts addresses by this, so all of them are looked at.
fn walk() -> Value {
    json!({ "Filters": [{ "Name": "is-arrears", "Values": ["true"] }] })
}

/// Measures every row.
pub fn measure(undo: &Undo, effort: Effort) -> Result<Vec<Api>> {
    let lab = Lab::builder().undone_by(undo).build()?;
    fill(&lab, effort.addresses)?;
    let rows = rows(&lab, effort.addresses)?;
    let mut measured = Vec::new();
    for row in &rows {
        let mut api =
            Api { call: row.call.into(), addresses: effort.addresses, clients: row.clients, ..Api::default() };
        for _ in 0..effort.rounds {
            turn(&lab, row, effort.turn, &mut api).with_context(|| format!("API, {}", row.call))?;
        }
        measured.push(api);
    }
    lab.finish()?;
    Ok(measured)
}

/// Starts the daemon and gives the account so many instances, each with an EIP.
fn fill(lab: &Lab, addresses: u32) -> Result<()> {
    let pairs = Pairs::clustered(addresses);
    let settings = edges::settings(&lab.directory, &[USER])?;
    let config = settings.more.last().context("it has a configuration")?;
    let more = format!("max_pairs = {addresses}\nmax_instances = {addresses}\neips_per_account = 0\n");
    OpenOptions::new().append(true).open(config)?.write_all(more.as_bytes())?;
    let pools = pairs.pools().into_iter().chain(["64.0.0.0/12".to_owned()]).collect();
    lab.daemon.start(Settings { pools, ..settings })?;
    let list = lab.directory.join("pairs.csv");
    let line = |(number, (public, private))| format!("{public},{private},vpc-default,vm-{number}\n");
    fs::write(&list, pairs.all().enumerate().map(line).collect::<String>())?;
    let finished = lab.daemon.cli_within(&["import", &list.display().to_string()], PATIENCE)?;
    ensure!(finished.success(), "{finished}");
    Ok(())
}

fn rows(lab: &Lab, addresses: u32) -> Result<Vec<Row>> {
    let mut caller = Caller::new(&lab.gateway)?;
    let mut known = Vec::new();
    while known.len() < CALLS {
        let page = json!({ "Offset": fastrand::u32(0..addresses - 100), "Limit": 100 });
        let listed = caller.call(USER, "DescribeAddresses", &page)?;
        ensure!(listed["TotalCount"] == addresses, "{}", listed["TotalCount"]);
        known.extend(listed["AddressSet"].as_array().context("a list")?.clone());
    }
    known.truncate(CALLS);
    let of_each = |action, params: &dyn Fn(&Value) -> Value| known.iter().map(|row| (action, params(row))).collect();
    let by = |name: &str, value: &Value| json!({ "Filters": [{ "Name": name, "Values": [value] }] });
    let somewhere = |_: &Value| json!({ "Offset": fastrand::u32(0..addresses) });
    let reading = |call, calls| Row { call, clients: READERS, calls, beside_a_walk: false };
    let by_id = |row: &Value| json!({ "AddressIds": [row["AddressId"]] });
    let list = "DescribeAddresses";
    Ok(vec![
        reading("DescribeAddresses, by id", of_each(list, &by_id)),
        reading("DescribeAddresses, by address", of_each(list, &|row| by("address-ip", &row["AddressIp"]))),
        reading("DescribeAddresses, by instance", of_each(list, &|row| by("instance-id", &row["InstanceId"]))),
        reading("DescribeAddresses, first 20", vec![(list, json!({}))]),
        reading("DescribeAddresses, first 20 bound", vec![(list, by("address-status", &"BIND".into()))]),
        reading("DescribeAddresses, any 20", of_each(list, &somewhere)),
        reading("DescribeAddresses, first 100", vec![(list, json!({ "Limit": 100 }))]),
        reading(
            "DescribeInstances, by id",
            of_each("DescribeInstances", &|row| json!({ "InstanceIds": [row["InstanceId"]] })),
        ),
        Row { call: "DescribeAddresses, all walked", clients: 1, calls: vec![(list, walk())], beside_a_walk: false },
        Row { beside_a_walk: true, ..reading("DescribeAddresses, by id beside a walk", of_each(list, &by_id)) },
        Row {
            call: "AllocateAddresses",
            clients: WRITERS,
            calls: vec![("AllocateAddresses", json!({}))],
            beside_a_walk: false,
        },
    ])
}

/// Has all clients of a row make calls, each the next when the one before is answered.
fn turn(lab: &Lab, row: &Row, length: Duration, api: &mut Api) -> Result<()> {
    let requests: Vec<Vec<u8>> =
        row.calls.iter().map(|(action, params)| signed(USER, action, params.to_string().as_bytes())).collect();
    let pid = lab.daemon.pid().context("the daemon has ended")?;
    let (over, latencies) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let callers = (0..row.clients).map(|_| Caller::new(&lab.gateway)).collect::<Result<Vec<_>>>()?;
    let walker = Some(Caller::new(&lab.gateway)?).filter(|_| row.beside_a_walk);
    let (cpu, began) = (cpu_time(pid)?, Instant::now());
    thread::scope(|scope| {
        let _over = RaisedAtEnd(&over);
        let walking = walker.map(|mut walker| {
            let over = &over;
            scope.spawn(move || -> Result<()> {
                while !over.load(Ordering::Relaxed) {
                    walker.call(USER, "DescribeAddresses", &walk())?;
                }
                Ok(())
            })
        });
        let calling: Vec<_> = callers
            .into_iter()
            .enumerate()
            .map(|(number, mut caller)| {
                let (requests, latencies) = (&requests, &latencies);
                scope.spawn(move || -> Result<()> {
                    meter::bind(Pid::from_raw(0), cpus() - 1)?;
                    let mut own = Vec::new();
                    for request in requests.iter().cycle().skip(number * requests.len() / row.clients) {
                        let sent = Instant::now();
                        caller.send(request)?;
                        let answer = caller.answer()?.context("the daemon ended the connection")?;
                        own.push(sent.elapsed().as_secs_f64() * 1e6);
                        let begins_well = answer.status == 200 && !answer.body.starts_with(b"{\"Response\":{\"Error\"");
                        ensure!(begins_well, "{}", String::from_utf8_lossy(&answer.body));
                        if began.elapsed() > length {
                            break;
                        }
                    }
                    locked(latencies).append(&mut own);
                    Ok(())
                })
            })
            .collect();
        calling.into_iter().try_for_each(|client| client.join().expect("it returns its errors"))?;
        let (took, spent) = (began.elapsed().as_secs_f64(), cpu_time(pid)? - cpu);
        let mut latencies = locked(&latencies);
        api.per_second.push(latencies.len() as f64 / took);
        api.cpu_us.push(spent.as_secs_f64() * 1e6 / latencies.len() as f64);
        api.latencies_us.append(&mut latencies);
        over.store(true, Ordering::Relaxed);
        walking.map_or(Ok(()), |walking| walking.join().expect("it returns its errors"))
    })
}

/// CPU time of a process, its system calls included.
fn cpu_time(pid: i32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have blanks of its own.
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).context("no CPU time");
    let a_second = sysconf(SysconfVar::CLK_TCK)?.context("the clock does not tick")? as f64;
    Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / a_second))
}
