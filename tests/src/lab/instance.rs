//! Instances and EIPs as a lab's user asks for them.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Lab;
use super::daemon::text;

/// Megabits a second of an instance with a public address.
const BANDWIDTH: &str = "5";

/// An EIP as the daemon tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eip {
    pub id: String,
    pub address: Ipv4Addr,
}

impl Lab {
    /// Creates an instance with an ordinary public IP, and returns that.
    pub fn instance(&self, name: &str, private: Ipv4Addr) -> Result<Ipv4Addr> {
        let created = self.create(name, private, BANDWIDTH)?;
        public_ip(&created)?.with_context(|| format!("no public IP in {created}"))
    }

    /// Creates an instance without any public address.
    pub fn private_instance(&self, name: &str, private: Ipv4Addr) -> Result<()> {
        self.create(name, private, "0").map(drop)
    }

    fn create(&self, name: &str, private: Ipv4Addr, bandwidth: &str) -> Result<Value> {
        let private = private.to_string();
        let words = ["instance", "create", "--private-ip", &private, "--name", name, "--bandwidth", bandwidth];
        self.daemon.json(&words)
    }

    /// The public address an instance has at present: its ordinary IP or its EIP's.
    pub fn public_ip(&self, instance: &str) -> Result<Option<Ipv4Addr>> {
        public_ip(&self.daemon.json(&["instance", "show", instance])?)
    }

    pub fn allocate(&self) -> Result<Eip> {
        eip(&self.daemon.json(&["eip", "allocate"])?)
    }

    pub fn allocate_address(&self, address: &str) -> Result<Eip> {
        eip(&self.daemon.json(&["eip", "allocate", "--address", address])?)
    }

    pub fn bind(&self, eip: &Eip, instance: &str) -> Result<()> {
        self.daemon.tell(&["eip", "bind", &eip.id, instance]).map(drop)
    }

    pub fn unbind(&self, eip: &Eip) -> Result<()> {
        self.daemon.tell(&["eip", "unbind", &eip.id]).map(drop)
    }

    pub fn release(&self, eip: &Eip) -> Result<()> {
        self.daemon.tell(&["eip", "release", &eip.id]).map(drop)
    }

    /// Creates an instance whose only public address is this one of a pool.
    pub fn instance_with(&self, name: &str, private: Ipv4Addr, public: &str) -> Result<Eip> {
        self.private_instance(name, private)?;
        let eip = self.allocate_address(public)?;
        self.bind(&eip, name)?;
        Ok(eip)
    }

    /// How often the program has come to a verdict, by name.
    pub fn verdicts(&self, name: &str) -> Result<u64> {
        let counters = self.daemon.map(&["counters"])?;
        find_count(&counters, name).with_context(|| format!("no counter `{name}` in {counters}"))
    }
}

fn eip(value: &Value) -> Result<Eip> {
    Ok(Eip { id: text(value, "id")?, address: text(value, "address")?.parse()? })
}

fn public_ip(instance: &Value) -> Result<Option<Ipv4Addr>> {
    let shown = &instance["public_ip"];
    if shown.is_null() {
        return Ok(None);
    }
    Ok(Some(text(instance, "public_ip")?.parse()?))
}

/// The packets of a verdict, wherever in the answer the row with its name stands.
fn find_count(value: &Value, name: &str) -> Option<u64> {
    match value {
        Value::Object(fields) => {
            let named =
                ["verdict", "name"].iter().any(|field| fields.get(*field).and_then(Value::as_str) == Some(name));
            let packets = fields.get("packets").and_then(Value::as_u64);
            let keyed = || fields.get(name).and_then(|inner| inner.as_u64().or_else(|| inner["packets"].as_u64()));
            packets
                .filter(|_| named)
                .or_else(keyed)
                .or_else(|| fields.values().find_map(|inner| find_count(inner, name)))
        }
        Value::Array(rows) => rows.iter().find_map(|row| find_count(row, name)),
        _ => None,
    }
}
