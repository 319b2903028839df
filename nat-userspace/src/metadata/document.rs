//! What an instance is told, as a tree: names lead to values or to further names. What is not known is not there.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::about::About;
use crate::address::{Instance, Time};

/// Ways to the same tree. What names meant was changed between them before there were any here.
const VERSIONS: [&str; 3] = ["1.0", "2017-09-19", "latest"];
const META_DATA: &str = "meta-data";
const USER_DATA: &str = "user-data";

/// What does not follow from the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Surroundings {
    pub(super) region: String,
    pub(super) zone: String,
    /// The gateway's addresses on the downlink the instance asks by, with the lengths of their prefixes.
    pub(super) networks: Vec<(Ipv4Addr, u8)>,
}

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Value(Vec<u8>),
    Directory(Directory),
}

pub(super) type Directory = BTreeMap<String, Entry>;

/// What there is at a path, if anything: a value as it is, or the names in a directory, one a line, those of directories
/// with a slash behind. A directory may be asked for with or without one; a value has none.
pub(super) fn find(about: &About, surroundings: &Surroundings, path: &str) -> Option<Vec<u8>> {
    let path = path.strip_prefix('/')?;
    let tree = tree(about, surroundings);
    if path.is_empty() {
        let names = VERSIONS.into_iter().chain(tree.keys().map(String::as_str));
        return Some(names.collect::<Vec<_>>().join("\n").into_bytes());
    }
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let path = if VERSIONS.contains(&first) { rest } else { path };
    let root = Entry::Directory(tree);
    let (path, wants_directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
    let mut names = path.split('/').filter(|_| !path.is_empty());
    match names.try_fold(&root, |entry, name| entry.below(name))? {
        Entry::Value(value) => (!wants_directory).then(|| value.clone()),
        Entry::Directory(directory) => Some(listing(directory).into_bytes()),
    }
}

impl Entry {
    fn below(&self, name: &str) -> Option<&Entry> {
        match self {
            Entry::Value(_) => None,
            Entry::Directory(directory) => directory.get(name),
        }
    }
}

fn listing(directory: &Directory) -> String {
    let line = |(name, entry): (&String, &Entry)| match entry {
        Entry::Value(_) => name.clone(),
        Entry::Directory(_) => format!("{name}/"),
    };
    directory.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A directory being filled.
#[derive(Default)]
struct Names(Directory);

impl Names {
    fn value(self, name: &str, value: impl ToString) -> Self {
        self.bytes(name, value.to_string().into_bytes())
    }

    fn bytes(mut self, name: &str, value: Vec<u8>) -> Self {
        self.0.insert(name.to_owned(), Entry::Value(value));
        self
    }

    fn known(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.value(name, value),
            None => self,
        }
    }

    /// A directory in which there is nothing is not there.
    fn directory(mut self, name: &str, inside: Names) -> Self {
        if !inside.0.is_empty() {
            self.0.insert(name.to_owned(), Entry::Directory(inside.0));
        }
        self
    }
}

fn tree(about: &About, surroundings: &Surroundings) -> Directory {
    let names = Names::default().directory(META_DATA, meta_data(about, surroundings));
    match about.user_data() {
        Some(data) => names.bytes(USER_DATA, data).0,
        None => names.0,
    }
}

fn meta_data(about: &About, surroundings: &Surroundings) -> Names {
    let instance = &about.instance;
    let zone = instance.zone().unwrap_or(&surroundings.zone);
    let placement = Names::default().value("region", &surroundings.region).value("zone", zone);
    let payment = Names::default()
        .value("charge-type", about.charge_type())
        .value("create-time", moment(instance.created))
        .known("termination-time", about.paid_until().map(moment));
    Names::default()
        .value("app-id", &instance.account)
        .value("instance-id", &instance.id)
        .known("instance-name", instance.name.as_ref())
        .known("uuid", instance.uuid())
        .value("local-ipv4", instance.private)
        .known("public-ipv4", about.public)
        .known("mac", about.mac.map(mac))
        .directory("instance", kind(instance))
        .directory("placement", placement)
        .directory("payment", payment)
        .directory("network", network(about, surroundings))
}

/// What kind of instance it is. Of several security groups each has its line.
fn kind(instance: &Instance) -> Names {
    let groups = instance.security_groups();
    Names::default()
        .value("instance-type", instance.instance_type())
        .value("image-id", instance.image())
        .known("security-group", (!groups.is_empty()).then(|| groups.join("\n")))
}

/// The one card an instance has. It is found by its MAC address, and without knowing that by nothing.
fn network(about: &About, surroundings: &Surroundings) -> Names {
    let Some(mac) = about.mac.map(mac) else { return Names::default() };
    let private = about.instance.private;
    let around = surroundings.networks.iter().find(|(own, length)| own.network(*length) == private.network(*length));
    let address = Names::default()
        .value("local-ipv4", private)
        .known("public-ipv4", about.public)
        .known("public-ipv4-mode", about.public.map(|_| "NAT"))
        .known("gateway", around.map(|(own, _)| own))
        .known("subnet-mask", around.map(|(_, length)| mask(*length)));
    let card = Names::default()
        .value("mac", &mac)
        .value("primary-local-ipv4", private)
        .known("public-ipv4s", about.public)
        .value("vpc-id", &about.instance.vpc)
        .value("subnet-id", about.instance.subnet())
        .value("owner-id", &about.instance.account)
        .directory("local-ipv4s", Names::default().directory(&private.to_string(), address));
    let cards = Names::default().directory(&mac, card);
    Names::default().directory("interfaces", Names::default().directory("macs", cards))
}

trait Network {
    fn network(&self, length: u8) -> u32;
}

impl Network for Ipv4Addr {
    fn network(&self, length: u8) -> u32 {
        self.to_bits() & mask(length).to_bits()
    }
}

fn mask(length: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0))
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02X}")).join(":")
}

/// As the cloud writes it, in UTC.
fn moment(time: Time) -> String {
    let text = time.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {}", time.get(..8).unwrap_or_default())
}
