//! The rules once more, written for reading: plain lists, walked from the start for every question.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::*;
use super::Request;

pub(super) struct Model {
    cool_down: u64,
    members: Vec<Ipv4Addr>,
    instances: Vec<Instance>,
    eips: Vec<Eip>,
    released: Vec<(Ipv4Addr, Time)>,
    marked: Vec<Ipv4Addr>,
}

impl Model {
    /// Of [`super::small_pool`].
    pub(super) fn new(cool_down: Duration) -> Self {
        let routed = [0, 1, 2, 3].map(|last| Ipv4Addr::new(8, 8, 8, last));
        let on_link = [2, 3, 5, 6].map(|last| Ipv4Addr::new(9, 9, 9, last));
        Self {
            cool_down: cool_down.as_millis() as u64,
            members: [routed, on_link].concat(),
            instances: vec![],
            eips: vec![],
            released: vec![],
            marked: vec![],
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            instances: self.instances.clone(),
            eips: self.eips.clone(),
            released: self.released.clone(),
            duplicates: self.marked.clone(),
        };
        snapshot.instances.sort_by_key(|instance| instance.id.to_string());
        snapshot.eips.sort_by_key(|eip| eip.id.to_string());
        snapshot.released.sort();
        snapshot.duplicates.sort();
        snapshot
    }

    /// Whether the request is granted; if so it has been carried out.
    pub(super) fn run(&mut self, request: Request) -> bool {
        let Request { command, now, capacity } = request;
        match command {
            Command::CreateInstance(new) => self.create(new, now, capacity),
            Command::TerminateInstance { account, instance } => self.terminate(&account, &instance, now),
            Command::AllocateEip { id, account, address, name } => {
                let usable = self.usable(now);
                let address = if address.is_some() { address } else { usable.first().copied() };
                let Some(address) = address.filter(|address| usable.contains(address)) else { return false };
                let exists = self.eips.iter().any(|eip| eip.id == id);
                if !exists {
                    self.released.retain(|(released, _)| *released != address);
                    self.eips.push(Eip { id, account, address, name, bound_to: None, created: now });
                }
                !exists
            }
            Command::BindEip { account, eip, instance } => self.bind(&account, &eip, &instance, now, capacity),
            Command::UnbindEip { account, eip, reallocate } => self.unbind(&account, &eip, reallocate, now),
            Command::ReleaseEip { account, eip } => {
                let ours = |other: &Eip| other.id == eip && other.account == account && other.bound_to.is_none();
                let Some(position) = self.eips.iter().position(ours) else { return false };
                let eip = self.eips.remove(position);
                self.released.push((eip.address, now));
                true
            }
            Command::MarkDuplicate { address } => {
                let in_pool = matches!(address.octets(), [8, 8, 8, 0..=3] | [9, 9, 9, 0..=7]);
                if in_pool && !self.marked.contains(&address) {
                    self.marked.push(address);
                }
                in_pool
            }
            Command::ClearDuplicate { address } => {
                self.marked.retain(|marked| *marked != address);
                true
            }
        }
    }

    /// Every address that may be handed out, the next one first.
    fn usable(&self, now: Time) -> Vec<Ipv4Addr> {
        let mut usable = vec![];
        for member in &self.members {
            let ordinary = self.instances.iter().any(|instance| instance.ordinary == Some(*member));
            let elastic = self.eips.iter().any(|eip| eip.address == *member);
            let released = self.released.iter().find(|(address, _)| address == member).map(|(_, at)| at.0);
            let rests = released.is_some_and(|at| now.0 < at + self.cool_down);
            if !ordinary && !elastic && !rests && !self.marked.contains(member) {
                usable.push((released, *member));
            }
        }
        usable.sort();
        usable.into_iter().map(|(_, address)| address).collect()
    }

    fn pairs(&self) -> usize {
        let has_public = |instance: &&Instance| instance.ordinary.is_some() || self.has_eip(&instance.id);
        self.instances.iter().filter(has_public).count()
    }

    fn has_eip(&self, instance: &InstanceId) -> bool {
        self.eips.iter().any(|eip| eip.bound_to.as_ref() == Some(instance))
    }

    fn create(&mut self, new: NewInstance, now: Time, capacity: Capacity) -> bool {
        let clash = |other: &Instance| {
            let same_name = other.name.is_some() && other.name == new.name && other.account == new.account;
            other.id == new.id || same_name || (other.private == new.private && other.vpc == new.vpc)
        };
        let good_name = matches!(new.name.as_deref(), None | Some("web" | "db"));
        let good_private = new.private.octets()[0] == 10;
        if self.instances.iter().any(clash) || !good_name || !good_private {
            return false;
        }
        let wants = new.bandwidth_mbps > 0;
        let ordinary = self.usable(now).first().copied().filter(|_| wants);
        let full = self.instances.len() >= capacity.instances || (wants && self.pairs() >= capacity.pairs);
        if full || (wants && ordinary.is_none()) {
            return false;
        }
        self.released.retain(|(released, _)| Some(*released) != ordinary);
        self.instances.push(Instance {
            id: new.id,
            account: new.account,
            vpc: new.vpc,
            private: new.private,
            name: new.name,
            bandwidth_mbps: new.bandwidth_mbps,
            charge_type: new.charge_type,
            ordinary,
            last_ordinary: None,
            created: now,
        });
        true
    }

    fn terminate(&mut self, account: &AccountId, id: &InstanceId, now: Time) -> bool {
        let ours = |instance: &Instance| instance.id == *id && instance.account == *account;
        let Some(position) = self.instances.iter().position(ours) else { return false };
        let instance = self.instances.remove(position);
        self.released.extend(instance.ordinary.map(|address| (address, now)));
        for eip in self.eips.iter_mut().filter(|eip| eip.bound_to.as_ref() == Some(id)) {
            eip.bound_to = None;
        }
        true
    }

    fn bind(&mut self, account: &AccountId, eip: &EipId, id: &InstanceId, now: Time, capacity: Capacity) -> bool {
        let (pairs, has_eip) = (self.pairs(), self.has_eip(id));
        let eip = self.eips.iter_mut().find(|other| other.id == *eip && other.account == *account);
        let instance = self.instances.iter_mut().find(|other| other.id == *id && other.account == *account);
        let (Some(eip), Some(instance)) = (eip, instance) else { return false };
        let full = instance.ordinary.is_none() && pairs >= capacity.pairs;
        if full || has_eip || eip.bound_to.is_some() {
            return false;
        }
        if let Some(address) = instance.ordinary.take() {
            instance.last_ordinary = Some(address);
            self.released.push((address, now));
        }
        eip.bound_to = Some(id.clone());
        true
    }

    fn unbind(&mut self, account: &AccountId, eip: &EipId, reallocate: Reallocate, now: Time) -> bool {
        let usable = self.usable(now);
        let eip = self.eips.iter_mut().find(|other| other.id == *eip && other.account == *account);
        let Some((eip, id)) = eip.and_then(|eip| eip.bound_to.clone().map(|id| (eip, id))) else { return false };
        let instance = self.instances.iter_mut().find(|instance| instance.id == id).unwrap();
        let wants = match reallocate {
            Reallocate::No => false,
            Reallocate::ByBandwidth => instance.bandwidth_mbps > 0,
            Reallocate::Yes if instance.bandwidth_mbps == 0 => return false,
            Reallocate::Yes => true,
        };
        if wants {
            let other = usable.into_iter().find(|address| Some(*address) != instance.last_ordinary);
            let Some(address) = other else { return false };
            self.released.retain(|(released, _)| *released != address);
            instance.ordinary = Some(address);
        }
        eip.bound_to = None;
        true
    }
}
