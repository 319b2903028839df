//! The rules once more, written for reading: plain lists, walked from the start for every question.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::*;
use super::Request;

#[derive(Clone)]
pub(super) struct Model {
    cool_down: u64,
    ranges: Vec<Range>,
    standings: Vec<(Prefix, Standing)>,
    fences: Vec<(Ipv4Addr, Fence)>,
    instances: Vec<Instance>,
    eips: Vec<Eip>,
    released: Vec<(Ipv4Addr, Time)>,
    marked: Vec<Ipv4Addr>,
    packages: Vec<Package>,
    days: Vec<DayCount>,
    tokens: Vec<UsedToken>,
    policy: Policy,
}

#[derive(Clone)]
struct Range {
    prefix: Prefix,
    members: Vec<Ipv4Addr>,
    draining: bool,
}

impl Model {
    /// Of [`super::small_pool`].
    pub(super) fn new(cool_down: Duration, policy: Policy) -> Self {
        let routed = [0, 1, 2, 3].map(|last| Ipv4Addr::new(8, 8, 8, last));
        let on_link = [2, 3, 5, 6].map(|last| Ipv4Addr::new(9, 9, 9, last));
        Self {
            cool_down: cool_down.as_millis() as u64,
            ranges: vec![range("8.8.8.0/30", &routed), range("9.9.9.0/29", &on_link)],
            standings: vec![],
            fences: vec![],
            instances: vec![],
            eips: vec![],
            released: vec![],
            marked: vec![],
            packages: vec![],
            days: vec![],
            tokens: vec![],
            policy,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            instances: self.instances.clone(),
            eips: self.eips.clone(),
            released: self.released.clone(),
            duplicates: self.marked.clone(),
            packages: self.packages.clone(),
            days: self.days.clone(),
            tokens: self.tokens.clone(),
            fences: self.fences.clone(),
            standings: self.standings.clone(),
        };
        snapshot.fences.sort_by_key(|(address, _)| *address);
        snapshot.standings.sort();
        snapshot.instances.sort_by_key(|instance| instance.id.to_string());
        snapshot.eips.sort_by_key(|eip| eip.id.to_string());
        snapshot.released.sort();
        snapshot.duplicates.sort();
        snapshot.packages.sort_by_key(|package| package.id.to_string());
        snapshot.days.sort();
        snapshot.tokens.sort();
        snapshot
    }

    /// Whether the request is granted; if so it has been carried out.
    pub(super) fn run(&mut self, request: Request) -> bool {
        let asked = UsedToken::by(&request.command, request.now);
        if let Some(asked) = &asked {
            let same = |used: &&UsedToken| used.account == asked.account && used.token == asked.token;
            let fresh = |used: &&UsedToken| request.now.0 < used.at.0 + 86_400_000;
            if let Some(used) = self.tokens.iter().find(same).filter(fresh) {
                let lives = self.instances.iter().any(|instance| used.made.instances().contains(&instance.id))
                    || self.eips.iter().any(|eip| used.made.eips().contains(&eip.id));
                return used.request == asked.request && lives;
            }
        }
        // A refusal changes nothing, so nothing has to be undone by those who find a reason late.
        let mut next = self.clone();
        let granted = next.carry_out(request);
        if granted {
            if let Some(asked) = asked {
                next.tokens.retain(|used| used.account != asked.account || used.token != asked.token);
                next.tokens.push(asked);
            }
            *self = next;
        }
        granted
    }

    fn carry_out(&mut self, request: Request) -> bool {
        let Request { command, now, capacity } = request;
        match command {
            Command::CreateInstance(new) => self.create(new, now, capacity),
            Command::TerminateInstance { account, instance } => self.terminate(&account, &instance, now),
            Command::StartInstance { account, instance } => self.start(&account, &instance, now, capacity),
            Command::StopInstance { account, instance, mode } => self.stop(&account, &instance, mode, now),
            Command::RenewInstance { account, instance, period } => {
                let Some(instance) = self.instance(&account, &instance) else { return false };
                let Billing::Prepaid { until } = &mut instance.billing else { return false };
                *until = Time(until.0.max(now.0) + period.as_millis() as u64);
                if instance.state == InstanceState::Shutdown {
                    (instance.state, instance.since) = (InstanceState::Stopped(StopMode::KeepCharging), now);
                }
                !period.is_zero()
            }
            Command::Together(Together { commands, .. }) => {
                let repeated = |at: &usize| commands[..*at].contains(&commands[*at]);
                (0..commands.len())
                    .filter(|at| !repeated(at))
                    .all(|at| self.carry_out(Request { command: commands[at].clone(), now, capacity }))
            }
            Command::AlterInstance { account, instance, changes } => {
                let Some(instance) = self.instance(&account, &instance) else { return false };
                if instance.name != changes.name {
                    instance.name = changes.name;
                }
                matches!(instance.name.as_deref(), Some("web" | "db"))
            }
            Command::ModifyPackage { account, package, changes } => {
                let found = self.packages.iter_mut().find(|other| other.id == package && other.account == account);
                let Some(package) = found else { return false };
                package.bandwidth_mbps = changes.bandwidth_mbps.unwrap_or(package.bandwidth_mbps);
                package.bandwidth_mbps != Some(0)
            }
            Command::ModifyInstance { account, instance, bandwidth_mbps, charge_type } => {
                let Some(instance) = self.instance(&account, &instance) else { return false };
                let before = (instance.bandwidth_mbps, instance.charge_type);
                instance.bandwidth_mbps = bandwidth_mbps.unwrap_or(instance.bandwidth_mbps);
                instance.charge_type = charge_type.unwrap_or(instance.charge_type);
                let after = (instance.bandwidth_mbps, instance.charge_type);
                let charged = before == after || agreed(after.0, after.1, instance.package.is_some());
                charged && (instance.bandwidth_mbps > 0 || instance.ordinary.is_none())
            }
            Command::ReturnOrdinary { account, instance } => {
                self.policy.return_ordinary == Permission::Granted && self.give_up(&account, &instance, now)
            }
            Command::ChangeOrdinary { account, instance } => {
                let granted = self.policy.change_ordinary == Permission::Granted;
                let next = self.usable(now).first().copied();
                let Some(next) = next.filter(|_| granted && self.give_up(&account, &instance, now)) else {
                    return false;
                };
                self.assign(&instance, next);
                self.count(&account, Daily::Reallocations, now, self.policy.reallocations_per_day)
            }
            Command::ConvertOrdinary { id, account, instance, name } => {
                let Some(instance) = self.instance(&account, &instance) else { return false };
                let Some(address) = instance.ordinary.take() else { return false };
                let terms = EipTerms {
                    name,
                    bandwidth_mbps: instance.bandwidth_mbps,
                    charge_type: instance.charge_type,
                    package: instance.package.clone(),
                    blocked: false,
                    arrears: false,
                    detail: None,
                };
                let bound_to = Some(instance.id.clone());
                self.add_eip(Eip { id, account, address, terms, bound_to, created: now })
            }
            Command::AllocateEip(new) => {
                let NewEip { id, account, address, name, bandwidth_mbps, charge_type, package, detail, token: _ } = new;
                let usable = self.usable(now);
                let address = if address.is_some() { address } else { usable.first().copied() };
                let Some(address) = address.filter(|address| usable.contains(address)) else { return false };
                self.released.retain(|(released, _)| *released != address);
                let applications = self.policy.eips_per_account.map(|quota| 2 * quota);
                let counted = self.count(&account, Daily::Applications, now, applications);
                let charged = self.may_share(&account, package.as_ref(), bandwidth_mbps, charge_type);
                let terms =
                    EipTerms { name, bandwidth_mbps, charge_type, package, blocked: false, arrears: false, detail };
                let eip = Eip { id, account, address, terms, bound_to: None, created: now };
                self.add_eip(eip) && counted && charged && bandwidth_mbps > 0
            }
            Command::ModifyEip { account, eip, changes } => {
                let Some(eip) = self.eip(&account, &eip) else { return false };
                let terms = &mut eip.terms;
                let before = (terms.bandwidth_mbps, terms.charge_type);
                terms.bandwidth_mbps = changes.bandwidth_mbps.unwrap_or(terms.bandwidth_mbps);
                terms.charge_type = changes.charge_type.unwrap_or(terms.charge_type);
                let after = (terms.bandwidth_mbps, terms.charge_type);
                let mut too_often = false;
                if before.1 != after.1 {
                    let detail = terms.detail.get_or_insert_default();
                    detail.prepaid = changes.prepaid.filter(|_| after.1 == ChargeType::BandwidthPrepaid);
                    detail.charge_changes += 1;
                    too_often = detail.charge_changes > 2;
                }
                terms.blocked = changes.blocked.unwrap_or(terms.blocked);
                terms.arrears = changes.arrears.unwrap_or(terms.arrears);
                let charged = before == after || agreed(after.0, after.1, terms.package.is_some());
                charged && terms.bandwidth_mbps > 0 && !too_often
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
            Command::CreatePackage(package) => {
                let exists = self.packages.iter().any(|other| other.id == package.id);
                self.packages.push(Package { created: now, ..package });
                !exists
            }
            Command::DeletePackage { account, package } => {
                let known = self.has_package(&account, &package);
                self.packages.retain(|other| other.id != package);
                let shared_by_instance = self.instances.iter().any(|one| one.package.as_ref() == Some(&package));
                let shared_by_eip = self.eips.iter().any(|one| one.terms.package.as_ref() == Some(&package));
                known && !shared_by_instance && !shared_by_eip
            }
            Command::AddMember { account, package, member } => {
                let known = self.has_package(&account, &package);
                known && self.share(&account, &member, None, Some(package), ChargeType::BandwidthPackage)
            }
            Command::RemoveMember { account, package, member } => {
                let known = self.has_package(&account, &package);
                known && self.share(&account, &member, Some(package), None, ChargeType::TrafficPostpaidByHour)
            }
            Command::Expire => {
                for Instance { id, account, billing, state, since, .. } in self.instances.clone() {
                    let bin = self.policy.recycle_bin.as_millis() as u64;
                    let due = match (state, billing) {
                        (InstanceState::Shutdown, _) => since.0 + bin <= now.0,
                        (_, Billing::Prepaid { until }) => until <= now,
                        (_, Billing::Postpaid) => false,
                    };
                    if due {
                        self.terminate(&account, &id, now);
                    }
                }
                self.tokens.retain(|used| now.0 < used.at.0 + 86_400_000);
                true
            }
            Command::ImportPairs(import) => import.pairs.iter().all(|pair| self.import(pair, &import, now, capacity)),
            Command::MarkDuplicate { address } => {
                let in_pool = self.in_a_range(address);
                if in_pool && !self.marked.contains(&address) {
                    self.marked.push(address);
                }
                in_pool
            }
            Command::ClearDuplicate { address } => {
                self.marked.retain(|marked| *marked != address);
                true
            }
            Command::FenceAddress { address, reason } => {
                let fenced = self.fences.iter().any(|(other, _)| *other == address);
                let granted = !fenced && (self.in_a_range(address) || self.is_held(address));
                if granted {
                    self.fences.push((address, Fence { reason, since: now }));
                }
                granted
            }
            Command::UnfenceAddress { address } => {
                let before = self.fences.len();
                self.fences.retain(|(fenced, _)| *fenced != address);
                self.fences.len() < before
            }
            Command::AddPool { definition, .. } => self.add_range(definition.prefix),
            Command::DrainPool { prefix } => {
                let added = self.is_added(prefix);
                let Some(range) = self.ranges.iter_mut().find(|range| range.prefix == prefix) else { return false };
                let granted = !std::mem::replace(&mut range.draining, true);
                if granted {
                    self.stand(prefix, Some(if added { Standing::AddedDraining } else { Standing::Draining }));
                }
                granted
            }
            Command::RemovePool { prefix } => {
                let known = self.ranges.iter().any(|range| range.prefix == prefix);
                let held = bits(prefix).any(|address| self.is_held(address));
                if known && !held {
                    self.ranges.retain(|range| range.prefix != prefix);
                    let configured = matches!(prefix.to_string().as_str(), "8.8.8.0/30" | "9.9.9.0/29");
                    self.stand(prefix, configured.then_some(Standing::Removed));
                }
                known && !held
            }
        }
    }

    fn add_range(&mut self, prefix: Prefix) -> bool {
        let added = self.is_added(prefix);
        if let Some(range) = self.ranges.iter_mut().find(|range| range.prefix == prefix) {
            let drained = std::mem::replace(&mut range.draining, false);
            if drained {
                self.stand(prefix, added.then_some(Standing::Added));
            }
            return drained;
        }
        let clash = bits(prefix).any(|address| {
            self.in_a_range(address) || self.instances.iter().any(|instance| instance.private == address)
        });
        if !clash {
            self.ranges.push(Range { prefix, members: bits(prefix).collect(), draining: false });
            self.stand(prefix, Some(Standing::Added));
        }
        !clash
    }

    fn stand(&mut self, prefix: Prefix, standing: Option<Standing>) {
        self.standings.retain(|(other, _)| *other != prefix);
        self.standings.extend(standing.map(|standing| (prefix, standing)));
    }

    fn is_added(&self, prefix: Prefix) -> bool {
        let added = |standing| matches!(standing, Standing::Added | Standing::AddedDraining);
        self.standings.iter().any(|(other, standing)| *other == prefix && added(*standing))
    }

    fn in_a_range(&self, address: Ipv4Addr) -> bool {
        self.ranges.iter().any(|range| bits(range.prefix).any(|other| other == address))
    }

    fn is_held(&self, address: Ipv4Addr) -> bool {
        let ordinary = self.instances.iter().any(|instance| instance.ordinary == Some(address));
        ordinary || self.eips.iter().any(|eip| eip.address == address)
    }

    /// Every address that may be handed out, the next one first.
    fn usable(&self, now: Time) -> Vec<Ipv4Addr> {
        let mut usable = vec![];
        let serving = self.ranges.iter().filter(|range| !range.draining);
        for member in serving.flat_map(|range| &range.members) {
            let held = self.is_held(*member) || self.fences.iter().any(|(fenced, _)| fenced == member);
            let released = self.released.iter().find(|(address, _)| address == member).map(|(_, at)| at.0);
            let rests = released.is_some_and(|at| now.0 < at + self.cool_down);
            if !held && !rests && !self.marked.contains(member) {
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
            let named = other.name.is_some() && new.naming == Naming::Unique;
            let same_name = named && other.name == new.name && other.account == new.account;
            other.id == new.id || same_name || (other.private == new.private && other.vpc == new.vpc)
        };
        let good_name = matches!(new.name.as_deref(), None | Some("web" | "db"));
        let good_private = matches!(new.private.octets()[0], 8 | 10) && !self.in_a_range(new.private);
        if self.instances.iter().any(clash) || !good_name || !good_private {
            return false;
        }
        let charged = self.may_share(&new.account, new.package.as_ref(), new.bandwidth_mbps, new.charge_type);
        if self.instances.len() >= capacity.instances || !charged || new.prepaid.is_some_and(|time| time.is_zero()) {
            return false;
        }
        let mut ordinary = None;
        if new.bandwidth_mbps > 0 {
            ordinary = self.usable(now).first().copied();
            if ordinary.is_none() || self.pairs() >= capacity.pairs {
                return false;
            }
            self.released.retain(|(released, _)| Some(*released) != ordinary);
        }
        let until = |period: Duration| Billing::Prepaid { until: Time(now.0 + period.as_millis() as u64) };
        let pending = new.begins == Begins::Pending;
        self.instances.push(Instance {
            id: new.id,
            account: new.account,
            vpc: new.vpc,
            private: new.private,
            name: new.name,
            bandwidth_mbps: new.bandwidth_mbps,
            charge_type: new.charge_type,
            package: new.package,
            billing: new.prepaid.map_or(Billing::Postpaid, until),
            state: if pending { InstanceState::Pending } else { InstanceState::Running },
            since: now,
            ordinary,
            last_ordinary: None,
            owed: false,
            created: now,
            detail: new.detail,
        });
        true
    }

    /// As if the instance were created without a public address, and then got this one.
    fn import(&mut self, pair: &NewPair, import: &Import, now: Time, capacity: Capacity) -> bool {
        let new = NewInstance::new(pair.instance.clone(), import.account.clone(), pair.vpc.clone(), pair.private);
        let new = NewInstance { name: pair.name.clone(), naming: Naming::Shared, ..new };
        let usable = self.usable(now).contains(&pair.public);
        if !usable || self.pairs() >= capacity.pairs || !self.create(new, now, capacity) {
            return false;
        }
        let instance = self.instances.last_mut().unwrap();
        instance.bandwidth_mbps = import.bandwidth_mbps;
        self.released.retain(|(released, _)| *released != pair.public);
        let PublicAs::Eip(id) = &pair.public_as else {
            instance.ordinary = Some(pair.public);
            return import.bandwidth_mbps > 0;
        };
        let (id, account, bound_to) = (id.clone(), import.account.clone(), Some(pair.instance.clone()));
        let exists = self.eips.iter().any(|eip| eip.id == id);
        let terms = EipTerms { bandwidth_mbps: import.bandwidth_mbps.max(1), ..EipTerms::default() };
        self.eips.push(Eip { id, account, address: pair.public, terms, bound_to, created: now });
        !exists
    }

    fn instance(&mut self, account: &AccountId, id: &InstanceId) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|other| other.id == *id && other.account == *account)
    }

    fn eip(&mut self, account: &AccountId, id: &EipId) -> Option<&mut Eip> {
        self.eips.iter_mut().find(|other| other.id == *id && other.account == *account)
    }

    fn has_package(&self, account: &AccountId, id: &PackageId) -> bool {
        self.packages.iter().any(|package| package.id == *id && package.account == *account)
    }

    fn may_share(&self, account: &AccountId, package: Option<&PackageId>, mbps: u32, charge: ChargeType) -> bool {
        package.is_none_or(|id| self.has_package(account, id)) && agreed(mbps, charge, package.is_some())
    }

    fn share(
        &mut self,
        account: &AccountId,
        member: &Member,
        from: Option<PackageId>,
        to: Option<PackageId>,
        charge: ChargeType,
    ) -> bool {
        let (package, charge_type, mbps) = match member {
            Member::Instance(id) => match self.instance(account, id) {
                Some(it) => (&mut it.package, &mut it.charge_type, &mut it.bandwidth_mbps),
                None => return false,
            },
            Member::Eip(id) => match self.eip(account, id) {
                Some(eip) => {
                    let terms = &mut eip.terms;
                    terms.detail.iter_mut().for_each(|detail| detail.prepaid = None);
                    (&mut terms.package, &mut terms.charge_type, &mut terms.bandwidth_mbps)
                }
                None => return false,
            },
        };
        let as_expected = *package == from;
        let most = if to.is_some() { 2000 } else { 100 };
        (*package, *charge_type, *mbps) = (to, charge, most.min(*mbps));
        as_expected
    }

    fn add_eip(&mut self, eip: Eip) -> bool {
        let exists = self.eips.iter().any(|other| other.id == eip.id);
        let had = self.eips.iter().filter(|other| other.account == eip.account).count() as u32;
        self.eips.push(eip);
        !exists && self.policy.eips_per_account.is_none_or(|quota| had < quota)
    }

    fn count(&mut self, account: &AccountId, what: Daily, now: Time, limit: Option<u32>) -> bool {
        let (account, day) = (account.clone(), now.0 / 86_400_000);
        let ours = |count: &&DayCount| count.account == account && count.what == what;
        let before = self.days.iter().find(ours).filter(|count| count.day == day).map_or(0, |count| count.count);
        self.days.retain(|count| !ours(&count));
        self.days.push(DayCount { account, what, day, count: before + 1 });
        limit.is_none_or(|limit| before < limit)
    }

    /// Back to the pool with the ordinary public IP, if there is one.
    fn give_up(&mut self, account: &AccountId, id: &InstanceId, now: Time) -> bool {
        let Some(instance) = self.instance(account, id) else { return false };
        let Some(address) = instance.ordinary.take() else { return false };
        instance.last_ordinary = Some(address);
        self.released.push((address, now));
        true
    }

    fn assign(&mut self, id: &InstanceId, address: Ipv4Addr) {
        self.released.retain(|(released, _)| *released != address);
        self.instances.iter_mut().find(|instance| instance.id == *id).unwrap().ordinary = Some(address);
    }

    fn terminate(&mut self, account: &AccountId, id: &InstanceId, now: Time) -> bool {
        let gave_up = self.give_up(account, id, now);
        let had_eip = self.has_eip(id);
        let Some(instance) = self.instance(account, id) else { return false };
        if instance.billing == Billing::Postpaid || instance.state == InstanceState::Shutdown {
            self.instances.retain(|other| other.id != *id);
        } else {
            instance.owed |= gave_up || had_eip;
            (instance.state, instance.since) = (InstanceState::Shutdown, now);
        }
        for eip in self.eips.iter_mut().filter(|eip| eip.bound_to.as_ref() == Some(id)) {
            eip.bound_to = None;
        }
        true
    }

    fn start(&mut self, account: &AccountId, id: &InstanceId, now: Time, capacity: Capacity) -> bool {
        let (usable, pairs, has_eip) = (self.usable(now), self.pairs(), self.has_eip(id));
        let Some(instance) = self.instance(account, id) else { return false };
        if matches!(instance.state, InstanceState::Running | InstanceState::Shutdown) {
            return false;
        }
        let due = instance.owed && instance.bandwidth_mbps > 0 && !has_eip;
        (instance.state, instance.since, instance.owed) = (InstanceState::Running, now, false);
        if due {
            let former = instance.last_ordinary;
            let other = usable.into_iter().find(|address| Some(*address) != former);
            let Some(address) = other.filter(|_| pairs < capacity.pairs) else { return false };
            self.assign(id, address);
        }
        true
    }

    fn stop(&mut self, account: &AccountId, id: &InstanceId, mode: StopMode, now: Time) -> bool {
        let Some(instance) = self.instance(account, id) else { return false };
        let was_running = instance.state == InstanceState::Running;
        (instance.state, instance.since) = (InstanceState::Stopped(mode), now);
        if mode == StopMode::KeepCharging {
            return was_running;
        }
        let postpaid = instance.billing == Billing::Postpaid;
        let owed = self.give_up(account, id, now);
        self.instance(account, id).unwrap().owed = owed;
        was_running && postpaid
    }

    fn bind(&mut self, account: &AccountId, eip: &EipId, id: &InstanceId, now: Time, capacity: Capacity) -> bool {
        let (pairs, has_eip) = (self.pairs(), self.has_eip(id));
        let Some(instance) = self.instance(account, id) else { return false };
        let ready = matches!(instance.state, InstanceState::Running | InstanceState::Stopped(StopMode::KeepCharging));
        let full = instance.ordinary.is_none() && pairs >= capacity.pairs;
        let returned = instance.ordinary.is_none() || self.policy.on_bind == OnBind::ReleaseOrdinary;
        self.give_up(account, id, now);
        let Some(eip) = self.eip(account, eip) else { return false };
        let good = eip.bound_to.is_none() && !eip.terms.blocked && !eip.terms.arrears;
        eip.bound_to = Some(id.clone());
        ready && !full && returned && !has_eip && good
    }

    fn unbind(&mut self, account: &AccountId, eip: &EipId, reallocate: Reallocate, now: Time) -> bool {
        let usable = self.usable(now);
        let Some(id) = self.eip(account, eip).and_then(|eip| eip.bound_to.take()) else { return false };
        let by_default = self.policy.on_unbind == OnUnbind::NewOrdinary;
        let instance = self.instance(account, &id).unwrap();
        let wants = match reallocate {
            Reallocate::No => false,
            Reallocate::ByPolicy => by_default && instance.bandwidth_mbps > 0,
            Reallocate::Yes if instance.bandwidth_mbps == 0 => return false,
            Reallocate::Yes => true,
        };
        if !wants {
            return true;
        }
        if instance.state == InstanceState::Stopped(StopMode::StopCharging) {
            instance.owed = true;
            return reallocate == Reallocate::ByPolicy;
        }
        let former = instance.last_ordinary;
        let Some(address) = usable.into_iter().find(|address| Some(*address) != former) else { return false };
        self.assign(&id, address);
        self.count(account, Daily::Reallocations, now, self.policy.reallocations_per_day)
    }
}

fn range(prefix: &str, members: &[Ipv4Addr]) -> Range {
    Range { prefix: prefix.parse().unwrap(), members: members.to_vec(), draining: false }
}

fn bits(prefix: Prefix) -> impl Iterator<Item = Ipv4Addr> {
    (prefix.first().to_bits()..=prefix.last().to_bits()).map(Ipv4Addr::from_bits)
}

/// Whether so much bandwidth can be charged so, in a package or out of any.
fn agreed(mbps: u32, charge: ChargeType, in_package: bool) -> bool {
    let shared = charge == ChargeType::BandwidthPackage;
    let most = if shared { 2000 } else { [100, 200][usize::from(charge == ChargeType::BandwidthPrepaid)] };
    mbps <= most && in_package == shared
}
