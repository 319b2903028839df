//! Many pairs in one request: its lines are received and read here, and only what is whole reaches the gateway's task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::address::{Command, EipId, Import, InstanceId, NewPair, PublicAs, VpcId};
use crate::gateway::{Handle, Operations, Progress, Stage};

use super::lines::{IDLE, Line, encode_line, next_line};
use super::wire::{
    Complaint, ComplaintKind, ImportRequest, Imported, PairRow, ProgressRow, PublicIpKind, Reply, StageRow,
};

/// A pair's line longer than this is refused: nobody fills our memory with names.
const LONGEST_PAIR: usize = 1024;
/// How often a client hears how far its import is.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// The imports of all connections: one at a time, of no more pairs than the maps hold, so that what is received but not
/// decided yet stays within a bound.
#[derive(Clone)]
pub(super) struct Imports {
    most: usize,
    turn: Arc<Semaphore>,
}

impl Imports {
    pub(super) fn new(most: usize) -> Imports {
        Imports { most, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Receives the pairs that follow a request and has them imported. The outer error ends the connection, and so
    /// must a complaint: pairs that nobody will read may still be under way.
    pub(super) async fn serve(
        &self,
        request: ImportRequest,
        read: &mut (impl AsyncBufRead + Unpin),
        write: &mut (impl AsyncWrite + Unpin),
        handle: &Handle,
    ) -> Result<Result<Imported, Complaint>> {
        let Ok(_turn) = self.turn.try_acquire() else {
            let message = "another import is under way; wait until it has ended".into();
            let code = "import-under-way".into();
            return Ok(Err(Complaint { kind: ComplaintKind::Conflict, code, message, pair: None }));
        };
        if request.pairs > self.most {
            let (asked, most) = (request.pairs, self.most);
            return Ok(Err(Complaint::invalid_request(format!(
                "{asked} pairs are more than the {most} that the maps hold; raise max_pairs"
            ))));
        }
        match receive(read, request.pairs).await? {
            Ok(pairs) => import(request, pairs, write, handle).await,
            Err(complaint) => Ok(Err(complaint)),
        }
    }
}

/// A pair without ids, which the gateway draws.
struct Received {
    vpc: VpcId,
    row: PairRow,
}

async fn receive(read: &mut (impl AsyncBufRead + Unpin), count: usize) -> Result<Result<Vec<Received>, Complaint>> {
    let (mut pairs, mut vpcs) = (Vec::new(), BTreeMap::new());
    for index in 0..count {
        let line = timeout(IDLE, next_line(read, LONGEST_PAIR)).await.context("idle in an import")??;
        let text = match line {
            Line::Whole(text) => text,
            Line::TooLong => {
                let message = format!("a pair must not be longer than {LONGEST_PAIR} bytes");
                return Ok(Err(Complaint::invalid_request(message).at(index)));
            }
            Line::End => anyhow::bail!("the connection ended after {index} of {count} pairs"),
        };
        match decode(&text, &mut vpcs) {
            Ok(pair) => pairs.push(pair),
            Err(complaint) => return Ok(Err(complaint.at(index))),
        }
    }
    Ok(Ok(pairs))
}

fn decode(text: &[u8], vpcs: &mut BTreeMap<String, VpcId>) -> Result<Received, Complaint> {
    let row: PairRow =
        serde_json::from_slice(text).map_err(|error| Complaint::invalid_request(format!("not a pair: {error}")))?;
    let vpc = match vpcs.get(&row.vpc) {
        Some(vpc) => vpc.clone(),
        None => {
            let vpc: VpcId = row.vpc.parse()?;
            vpcs.insert(row.vpc.clone(), vpc.clone());
            vpc
        }
    };
    Ok(Received { vpc, row })
}

/// Has it done on the gateway's task, and tells the client meanwhile how far it is: silence would look like a daemon that
/// is stuck.
async fn import(
    request: ImportRequest,
    pairs: Vec<Received>,
    write: &mut (impl AsyncWrite + Unpin),
    handle: &Handle,
) -> Result<Result<Imported, Complaint>> {
    let (progress, told) = watch::channel(Stage::Deciding.begun());
    let asked = handle.ask(move |operations| {
        perform(request, pairs, operations, &mut |latest| {
            progress.send_replace(latest);
        })
    });
    tokio::pin!(asked);
    let mut tick = interval(TELL_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut asked => return Ok(done.map_err(Complaint::from).flatten()),
            _ = tick.tick() => {
                let line = encode_line(&Reply::<()>::Progress(ProgressRow::from(*told.borrow())));
                timeout(IDLE, write.write_all(&line)).await.context("the progress was not taken")??;
            }
        }
    }
}

fn perform(
    request: ImportRequest,
    pairs: Vec<Received>,
    gateway: &mut dyn Operations,
    listener: &mut dyn FnMut(Progress),
) -> Result<Imported, Complaint> {
    let ImportRequest { account, public_ip_kind, bandwidth_mbps, check, .. } = request;
    let checked = pairs.len();
    let instances = gateway.new_instance_ids(checked);
    let public_as = match public_ip_kind {
        PublicIpKind::Ordinary => vec![PublicAs::Ordinary; checked],
        PublicIpKind::Eip => gateway.new_eip_ids(checked).into_iter().map(|id: EipId| PublicAs::Eip(id)).collect(),
    };
    let pairs = pairs.into_iter().zip(instances).zip(public_as);
    let pairs = pairs.map(|((pair, instance), public_as)| new_pair(pair, instance, public_as)).collect();
    let command = Command::ImportPairs(Import { account: account.parse()?, pairs, bandwidth_mbps });
    if check {
        gateway.check(command)?;
    } else {
        gateway.perform_telling(command, listener)?;
    }
    Ok(Imported { imported: if check { 0 } else { checked }, checked, account, public_ip_kind })
}

fn new_pair(Received { vpc, row }: Received, instance: InstanceId, public_as: PublicAs) -> NewPair {
    NewPair { instance, vpc, private: row.private_ip, name: row.name, public: row.public_ip, public_as }
}

impl From<Progress> for ProgressRow {
    fn from(progress: Progress) -> Self {
        let stage = match progress.stage {
            Stage::Deciding => StageRow::Deciding,
            Stage::Committing => StageRow::Committing,
            Stage::Writing => StageRow::Writing,
        };
        ProgressRow { stage, done: progress.done, total: progress.total }
    }
}
