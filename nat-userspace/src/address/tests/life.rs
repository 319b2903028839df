//! Every refusal about states, terms, packages, quotas, tokens and policy: when it is given, its kind, its code, and its
//! sentence; and what is expected of a policy that says otherwise.

use super::super::*;
use super::sentences::{NOW, allocate, bind, check, perform, populated, release, unbind};
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// [`populated`] under other rules.
fn under(policy: Policy) -> Ledger {
    populated().with_policy(policy)
}

fn package_id(text: &str) -> PackageId {
    text.parse().unwrap()
}

fn refused(ledger: &Ledger, command: Command) -> Refusal {
    ledger.decide(command, NOW, Capacity::UNLIMITED).unwrap_err()
}

fn conflict(ledger: &Ledger, command: Command, code: &str, sentence: &str) {
    check(&refused(ledger, command), RefusalKind::Conflict, code, sentence);
}

fn start(instance: &str) -> Command {
    Command::StartInstance { account: account("alice"), instance: instance_id(instance) }
}

fn stop(instance: &str, mode: StopMode) -> Command {
    Command::StopInstance { account: account("alice"), instance: instance_id(instance), mode }
}

fn renew(instance: &str, period: Duration) -> Command {
    Command::RenewInstance { account: account("alice"), instance: instance_id(instance), period }
}

fn modify(instance: &str, bandwidth_mbps: Option<u32>, charge_type: Option<ChargeType>) -> Command {
    let (account, instance) = (account("alice"), instance_id(instance));
    Command::ModifyInstance { account, instance, bandwidth_mbps, charge_type }
}

fn convert(id: &str, instance: &str) -> Command {
    let (id, instance) = (eip_id(id), instance_id(instance));
    Command::ConvertOrdinary { id, account: account("alice"), instance, name: None }
}

fn give_back(instance: &str) -> Command {
    Command::ReturnOrdinary { account: account("alice"), instance: instance_id(instance) }
}

fn change(instance: &str) -> Command {
    Command::ChangeOrdinary { account: account("alice"), instance: instance_id(instance) }
}

fn marked(blocked: bool, arrears: bool) -> Command {
    let changes = EipChanges { blocked: Some(blocked), arrears: Some(arrears), ..EipChanges::default() };
    Command::ModifyEip { account: account("alice"), eip: eip_id("eip-1"), changes }
}

fn new_package(id: &str, bandwidth_mbps: Option<u32>) -> Command {
    let (id, account) = (package_id(id), account("alice"));
    Command::CreatePackage(Package { id, account, name: None, bandwidth_mbps, created: Time(0), detail: None })
}

fn delete_package(id: &str) -> Command {
    Command::DeletePackage { account: account("alice"), package: package_id(id) }
}

fn join(package: &str, member: &Member) -> Command {
    Command::AddMember { account: account("alice"), package: package_id(package), member: member.clone() }
}

fn leave(package: &str, member: &Member) -> Command {
    Command::RemoveMember { account: account("alice"), package: package_id(package), member: member.clone() }
}

fn ninth() -> NewInstance {
    NewInstance::new(instance_id("ins-9"), account("alice"), vpc("vpc-a"), address("10.0.0.9"))
}

#[test]
fn states_that_do_not_permit_it() {
    let mut ledger = populated();
    let wrong = |ledger: &Ledger, command, sentence| conflict(ledger, command, "instance-state", sentence);
    wrong(&ledger, start("ins-1"), "instance ins-1 is running and cannot be started; there is nothing to do");
    let pending = NewInstance { begins: Begins::Pending, ..ninth() };
    perform(&mut ledger, Command::CreateInstance(pending));
    let keep = StopMode::KeepCharging;
    wrong(&ledger, stop("ins-9", keep), "instance ins-9 is pending and cannot be stopped; start it first");
    wrong(&ledger, bind("eip-1", "ins-9"), "instance ins-9 is pending and cannot take an EIP; start it first");

    perform(&mut ledger, stop("ins-1", keep));
    wrong(&ledger, stop("ins-1", keep), "instance ins-1 is stopped and cannot be stopped; there is nothing to do");
    let free = StopMode::StopCharging;
    wrong(&ledger, stop("ins-1", free), "instance ins-1 is stopped and cannot be stopped; start it first");
    perform(&mut ledger, start("ins-1"));
    perform(&mut ledger, stop("ins-1", free));
    let sentence = "instance ins-1 is stopped without charge and cannot take an EIP; start it first";
    wrong(&ledger, bind("eip-1", "ins-1"), sentence);
    perform(&mut ledger, start("ins-1"));
    perform(&mut ledger, bind("eip-1", "ins-1"));
    perform(&mut ledger, stop("ins-1", free));
    let sentence = "instance ins-1 is stopped without charge and cannot get a new ordinary public IP; start it first, or \
                    unbind without `--reallocate yes`: the next start assigns one";
    wrong(&ledger, unbind("eip-1", Reallocate::Yes), sentence);
    perform(&mut ledger, unbind("eip-1", Reallocate::ByPolicy));
    assert_eq!(ledger.association_of(&instance_id("ins-1")), None);
    perform(&mut ledger, start("ins-1"));
    assert!(ledger.association_of(&instance_id("ins-1")).is_some());
}

#[test]
fn a_start_that_finds_no_address_changes_nothing() {
    let mut ledger = populated();
    perform(&mut ledger, stop("ins-1", StopMode::StopCharging));
    for number in 2..7 {
        perform(&mut ledger, allocate(&format!("eip-{number}"), None));
    }
    // The one that rests is the one it gave up, so waiting for it would not help.
    let sentence = "instance ins-1 stays off because the pool has no free address for its new ordinary public IP; \
                    release an address or enlarge the pool";
    check(&refused(&ledger, start("ins-1")), RefusalKind::Exhausted, "no-address-to-start", sentence);
    let none = Capacity { pairs: 0, instances: 0 };
    assert_eq!(ledger.decide(start("ins-1"), NOW, none).unwrap_err().code(), "capacity-reached");
}

#[test]
fn what_is_prepaid() {
    let mut ledger = populated();
    let sentence = "instance ins-1 is paid for by the hour; there is nothing to renew";
    conflict(&ledger, renew("ins-1", DAY), "not-prepaid", sentence);
    let sentence = "what is prepaid is paid for some time; give a period above 0 and of a century at most";
    for period in [Duration::ZERO, Duration::MAX] {
        let new = Command::CreateInstance(NewInstance { prepaid: Some(period), ..ninth() });
        check(&refused(&ledger, new), RefusalKind::Invalid, "period-unusable", sentence);
    }
    let prepaid = NewInstance { prepaid: Some(DAY), bandwidth_mbps: 5, ..ninth() };
    perform(&mut ledger, Command::CreateInstance(prepaid));
    assert_eq!(refused(&ledger, renew("ins-9", Duration::ZERO)).code(), "period-unusable");
    let sentence = "instance ins-9 is prepaid and cannot stop without charge; stop it as it is, or terminate it";
    conflict(&ledger, stop("ins-9", StopMode::StopCharging), "prepaid-stop", sentence);

    // Told of its end, the ledger takes it to the recycle bin with everything it gives up; told again, it is no more.
    let end = NOW.after(DAY);
    assert_eq!(ledger.next_due(), Some(end));
    let told = |ledger: &mut Ledger, now| {
        let change = ledger.decide(Command::Expire, now, Capacity::UNLIMITED).unwrap();
        ledger.apply(&change);
        change.facts.len()
    };
    assert_eq!(told(&mut ledger, Time(end.0 - 1)), 0);
    assert_eq!(told(&mut ledger, end), 2);
    let wrong = |ledger: &Ledger, command, sentence| conflict(ledger, command, "instance-state", sentence);
    wrong(&ledger, start("ins-9"), "instance ins-9 is in the recycle bin and cannot be started; renew it first");
    wrong(
        &ledger,
        bind("eip-1", "ins-9"),
        "instance ins-9 is in the recycle bin and cannot take an EIP; renew it first",
    );
    let sentence = "instance ins-9 is in the recycle bin and cannot be stopped; there is nothing to do";
    wrong(&ledger, stop("ins-9", StopMode::KeepCharging), sentence);
    let mut renewed = ledger.clone();
    perform(&mut renewed, renew("ins-9", DAY));
    perform(&mut renewed, start("ins-9"));
    assert!(renewed.association_of(&instance_id("ins-9")).is_some());
    // Renewed late, it is paid for from then on; and a start assigns nothing to what has been given an EIP meanwhile.
    let late = end.after(2 * DAY);
    let mut given = ledger.clone();
    given.apply(&given.decide(renew("ins-9", DAY), late, Capacity::UNLIMITED).unwrap());
    assert_eq!(given.next_due(), Some(late.after(DAY)));
    perform(&mut given, bind("eip-1", "ins-9"));
    perform(&mut given, start("ins-9"));
    assert_eq!(given.instance(&instance_id("ins-9")).unwrap().ordinary, None);
    // What the recycle bin has taken an EIP from has an ordinary address when it is started again.
    given.apply(&given.decide(Command::Expire, late.after(DAY), Capacity::UNLIMITED).unwrap());
    assert_eq!(given.association_of(&instance_id("ins-9")), None);
    perform(&mut given, renew("ins-9", DAY));
    perform(&mut given, start("ins-9"));
    assert!(given.instance(&instance_id("ins-9")).unwrap().ordinary.is_some());
    assert_eq!(ledger.next_due(), Some(end.after(7 * DAY)));
    assert_eq!(told(&mut ledger, end.after(7 * DAY)), 1);
    assert_eq!((ledger.instance(&instance_id("ins-9")), ledger.next_due()), (None, None));
}

#[test]
fn terms_that_cannot_be() {
    let mut ledger = populated();
    let sentence = "instance ins-1 has the ordinary public IP 8.8.8.0, which needs a bandwidth; leave 1 Mbit/s at least, \
                    or convert the address into an EIP first";
    conflict(&ledger, modify("ins-1", Some(0), None), "bandwidth-carries-address", sentence);
    let sentence = "a bandwidth of 0 Mbit/s carries nothing; give 1 at least";
    let none = EipChanges { bandwidth_mbps: Some(0), ..EipChanges::default() };
    let eip = eip_id("eip-1");
    for command in [
        Command::ModifyEip { account: account("alice"), eip, changes: none },
        Command::AllocateEip(NewEip { bandwidth_mbps: 0, ..NewEip::new(eip_id("eip-9"), account("alice")) }),
        new_package("bwp-1", Some(0)),
    ] {
        check(&refused(&ledger, command), RefusalKind::Invalid, "bandwidth-needed", sentence);
    }
    perform(&mut ledger, modify("ins-1", Some(7), Some(ChargeType::BandwidthPostpaidByHour)));
    perform(&mut ledger, convert("eip-9", "ins-1"));
    let EipTerms { bandwidth_mbps, charge_type, .. } = ledger.eip(&eip_id("eip-9")).unwrap().terms;
    assert_eq!((bandwidth_mbps, charge_type), (7, ChargeType::BandwidthPostpaidByHour), "as it was agreed");
    perform(&mut ledger, modify("ins-1", Some(0), None));
    conflict(&ledger, convert("eip-8", "ins-1"), "no-ordinary-address", "instance ins-1 has no ordinary public IP");
}

#[test]
fn bandwidth_that_does_not_go_with_how_it_is_charged() {
    let mut ledger = populated();
    let eip = |changes| Command::ModifyEip { account: account("alice"), eip: eip_id("eip-1"), changes };
    let of = |mbps, charge_type| {
        eip(EipChanges { bandwidth_mbps: Some(mbps), charge_type: Some(charge_type), ..EipChanges::default() })
    };
    let refuse = |ledger: &Ledger, command, mbps: u32, most: u32, charge_type: ChargeType| {
        let sentence = format!(
            "a bandwidth of {mbps} Mbit/s is more than the {most} that there can be where it is charged as \
             {charge_type}; ask for less, or have it charged otherwise"
        );
        check(&refused(ledger, command), RefusalKind::Invalid, "bandwidth-out-of-range", &sentence);
    };
    for (charge_type, most) in [
        (ChargeType::TrafficPostpaidByHour, 100),
        (ChargeType::BandwidthPostpaidByHour, 100),
        (ChargeType::BandwidthPrepaid, 200),
    ] {
        let instance = NewInstance { bandwidth_mbps: most + 1, charge_type, ..ninth() };
        let new = NewEip { bandwidth_mbps: most + 1, charge_type, ..NewEip::new(eip_id("eip-9"), account("alice")) };
        for command in [
            Command::CreateInstance(instance),
            Command::AllocateEip(new),
            modify("ins-1", Some(most + 1), Some(charge_type)),
            of(most + 1, charge_type),
        ] {
            refuse(&ledger, command, most + 1, most, charge_type);
        }
        perform(&mut ledger.clone(), of(most, charge_type));
        perform(&mut ledger.clone(), modify("ins-1", Some(most), Some(charge_type)));
    }
    let package = RefusalKind::Invalid;
    let sentence = "what is charged as BANDWIDTH_PACKAGE shares a package; name one, or have it charged otherwise";
    let shared = ChargeType::BandwidthPackage;
    for command in [
        Command::CreateInstance(NewInstance { charge_type: shared, ..ninth() }),
        Command::AllocateEip(NewEip { charge_type: shared, ..NewEip::new(eip_id("eip-9"), account("alice")) }),
        modify("ins-1", None, Some(shared)),
        of(2000, shared),
    ] {
        check(&refused(&ledger, command), package, "package-needed", sentence);
    }
    // Of what is shared there can be more, and whoever leaves has what goes with how it is charged then.
    let (web, one) = (Member::Instance(instance_id("ins-1")), Member::Eip(eip_id("eip-1")));
    perform(&mut ledger, new_package("bwp-1", None));
    perform(&mut ledger, join("bwp-1", &web));
    perform(&mut ledger, join("bwp-1", &one));
    perform(&mut ledger, modify("ins-1", Some(2000), None));
    perform(&mut ledger, of(1500, shared));
    refuse(&ledger, modify("ins-1", Some(2001), None), 2001, 2000, shared);
    perform(&mut ledger, leave("bwp-1", &web));
    perform(&mut ledger, leave("bwp-1", &one));
    assert_eq!(ledger.instance(&instance_id("ins-1")).unwrap().bandwidth_mbps, 100);
    assert_eq!(ledger.eip(&eip_id("eip-1")).unwrap().terms.bandwidth_mbps, 100);
}

/// More than can be agreed on now: an import's bandwidth, and what is charged by no package as an earlier version let it be.
#[test]
fn what_was_agreed_on_is_not_judged_again() {
    let mut snapshot = populated().snapshot();
    let eip = snapshot.eips.iter_mut().find(|eip| eip.id == eip_id("eip-1")).unwrap();
    (eip.terms.bandwidth_mbps, eip.terms.charge_type) = (5000, ChargeType::BandwidthPackage);
    let mut ledger = SoundSnapshot::new(populated().pool().clone(), snapshot).unwrap().into_ledger();
    perform(&mut ledger, marked(true, false));
    let smaller = EipChanges { bandwidth_mbps: Some(10), ..EipChanges::default() };
    let by_traffic = EipChanges { charge_type: Some(ChargeType::TrafficPostpaidByHour), ..smaller.clone() };
    let modify = |changes| Command::ModifyEip { account: account("alice"), eip: eip_id("eip-1"), changes };
    assert_eq!(refused(&ledger, modify(smaller)).code(), "package-needed");
    perform(&mut ledger, modify(by_traffic));
}

#[test]
fn how_an_eip_is_charged_changes_twice_and_what_was_paid_for_counts_while_it_does() {
    let mut ledger = populated();
    let prepaid = Prepaid { until: Time(99), renewal: Renewal::Automatic };
    let to = |charge_type| {
        let changes = EipChanges { charge_type: Some(charge_type), prepaid: Some(prepaid), ..EipChanges::default() };
        Command::ModifyEip { account: account("alice"), eip: eip_id("eip-1"), changes }
    };
    let kept = |ledger: &Ledger| ledger.eip(&eip_id("eip-1")).unwrap().terms.detail.as_ref().and_then(|it| it.prepaid);
    perform(&mut ledger, to(ChargeType::BandwidthPrepaid));
    assert_eq!(kept(&ledger), Some(prepaid));
    perform(&mut ledger, to(ChargeType::BandwidthPostpaidByHour));
    assert_eq!(kept(&ledger), None);
    let sentence =
        "how EIP eip-1 is charged was changed 2 times, which is as often as it may be; leave it, or allocate another";
    let third = refused(&ledger, to(ChargeType::TrafficPostpaidByHour));
    check(&third, RefusalKind::Exhausted, "charge-changes-spent", sentence);
    // Sharing a package is no such change.
    let eip = Member::Eip(eip_id("eip-1"));
    perform(&mut ledger, new_package("bwp-1", None));
    perform(&mut ledger, join("bwp-1", &eip));
    perform(&mut ledger, leave("bwp-1", &eip));
}

#[test]
fn packages() {
    let mut ledger = populated();
    let not_found = RefusalKind::NotFound;
    let sentence = "there is no bandwidth package \"bwp-1\" in account alice";
    check(&refused(&ledger, delete_package("bwp-1")), not_found, "unknown-package", sentence);
    let shared =
        NewInstance { charge_type: ChargeType::BandwidthPackage, package: Some(package_id("bwp-1")), ..ninth() };
    check(&refused(&ledger, Command::CreateInstance(shared.clone())), not_found, "unknown-package", sentence);
    perform(&mut ledger, new_package("bwp-1", None));
    perform(&mut ledger, new_package("bwp-2", Some(100)));
    conflict(&ledger, new_package("bwp-1", None), "package-exists", "package id bwp-1 is in use; choose another");

    let by_the_hour = NewInstance { charge_type: ChargeType::BandwidthPostpaidByHour, ..shared };
    let sentence = "what shares package bwp-1 is charged as BANDWIDTH_PACKAGE, not BANDWIDTH_POSTPAID_BY_HOUR; remove it \
                    from the package first, or leave the charge type";
    conflict(&ledger, Command::CreateInstance(by_the_hour), "package-charge-type", sentence);
    let (web, eip) = (Member::Instance(instance_id("ins-1")), Member::Eip(eip_id("eip-1")));
    perform(&mut ledger, join("bwp-1", &web));
    perform(&mut ledger, join("bwp-1", &eip));
    let by_hour = Some(ChargeType::BandwidthPostpaidByHour);
    conflict(&ledger, modify("ins-1", None, by_hour), "package-charge-type", sentence);
    let sentence = "EIP eip-1 already shares package bwp-1; there is nothing to do";
    conflict(&ledger, join("bwp-1", &eip), "is-member", sentence);
    let sentence = "instance ins-1 shares package bwp-1; remove it from that one first";
    conflict(&ledger, join("bwp-2", &web), "member-elsewhere", sentence);
    conflict(&ledger, leave("bwp-2", &web), "no-member", "instance ins-1 does not share package bwp-2");
    let sentence =
        "package bwp-1 cannot be deleted while it is shared by 2, among them instance ins-1; remove them first";
    conflict(&ledger, delete_package("bwp-1"), "package-in-use", sentence);

    // What ends leaves its package, and who leaves is charged by traffic.
    perform(&mut ledger, leave("bwp-1", &web));
    assert_eq!(ledger.instance(&instance_id("ins-1")).unwrap().charge_type, ChargeType::TrafficPostpaidByHour);
    perform(&mut ledger, release("eip-1"));
    perform(&mut ledger, delete_package("bwp-1"));
    let alice = account("alice");
    let unknown = ledger.find_member(&alice, "eip-1").unwrap_err();
    let sentence = "there is neither an EIP nor an instance \"eip-1\" in account alice";
    check(&unknown, not_found, "unknown-member", sentence);
    for selector in ["ins-1", "web", "8.8.8.0"] {
        assert_eq!(ledger.find_member(&alice, selector), Ok(web.clone()));
    }
}

#[test]
fn marks_that_keep_an_eip_from_being_bound() {
    let mut ledger = populated();
    perform(&mut ledger, marked(true, true));
    let sentence = "EIP eip-1 is blocked and cannot be bound; wait until it is unblocked, or take another";
    conflict(&ledger, bind("eip-1", "ins-1"), "eip-blocked", sentence);
    perform(&mut ledger, marked(false, true));
    let sentence = "EIP eip-1 is in arrears and cannot be bound; pay for it, or take another";
    conflict(&ledger, bind("eip-1", "ins-1"), "eip-in-arrears", sentence);
    perform(&mut ledger, marked(false, false));
    perform(&mut ledger, bind("eip-1", "ins-1"));
    // Marked while it is bound, it serves on: only binding is refused.
    perform(&mut ledger, marked(true, false));
    assert!(ledger.association_of(&instance_id("ins-1")).is_some());
}

#[test]
fn quotas() {
    let mut ledger = under(Policy { eips_per_account: Some(2), ..Policy::default() });
    perform(&mut ledger, allocate("eip-2", None));
    let exhausted = RefusalKind::Exhausted;
    let sentence =
        "account alice has all the 2 EIPs it may have; release one, or have the operator raise `eips_per_account`";
    for command in [allocate("eip-3", None), convert("eip-3", "ins-1")] {
        check(&refused(&ledger, command), exhausted, "eip-quota-reached", sentence);
    }
    // Bob has his own, and an import is the operator's act.
    assert!(
        ledger
            .decide(Command::AllocateEip(NewEip::new(eip_id("eip-3"), account("bob"))), NOW, Capacity::UNLIMITED)
            .is_ok()
    );
    for _ in 0..2 {
        perform(&mut ledger, release("eip-2"));
        perform(&mut ledger, allocate("eip-2", None));
    }
    perform(&mut ledger, release("eip-2"));
    let sentence = "account alice has applied for all the EIPs it may in a day, which is 4; wait until \
                    2026-11-21T00:00:00Z, or have the operator raise `eips_per_account`";
    check(&refused(&ledger, allocate("eip-2", None)), exhausted, "day-limit-reached", sentence);
    let tomorrow = NOW.after(DAY);
    assert!(ledger.decide(allocate("eip-2", None), tomorrow, Capacity::UNLIMITED).is_ok());

    let mut ledger = under(Policy { reallocations_per_day: Some(1), ..Policy::default() });
    for _ in 0..2 {
        perform(&mut ledger, bind("eip-1", "ins-1"));
        if ledger.decide(unbind("eip-1", Reallocate::ByPolicy), NOW, Capacity::UNLIMITED).is_err() {
            break;
        }
        perform(&mut ledger, unbind("eip-1", Reallocate::ByPolicy));
    }
    let sentence = "account alice has been given all the new ordinary public IPs it may in a day, which is 1; wait until \
                    2026-11-21T00:00:00Z, or have the operator raise `reallocations_per_day`";
    check(&refused(&ledger, unbind("eip-1", Reallocate::ByPolicy)), exhausted, "day-limit-reached", sentence);
    perform(&mut ledger, unbind("eip-1", Reallocate::No));

    // A change is a new address as well.
    let granted = Policy { change_ordinary: Permission::Granted, ..Policy::default() };
    let mut ledger = under(Policy { reallocations_per_day: Some(1), ..granted });
    perform(&mut ledger, change("ins-1"));
    check(&refused(&ledger, change("ins-1")), exhausted, "day-limit-reached", sentence);
}

#[test]
fn client_tokens() {
    let mut ledger = populated();
    let token = |text: &str| Some(text.parse::<ClientToken>().unwrap());
    let first = NewEip { token: token("t"), ..NewEip::new(eip_id("eip-8"), account("alice")) };
    perform(&mut ledger, Command::AllocateEip(first.clone()));
    let again = |id| Command::AllocateEip(NewEip { id: eip_id(id), ..first.clone() });
    let decide = |ledger: &Ledger, command, now| ledger.decide(command, now, Capacity::UNLIMITED);
    assert_eq!(decide(&ledger, again("eip-9"), NOW), Ok(Change::default()));
    assert_eq!(ledger.made_with(&account("alice"), &"t".parse().unwrap()), Some(&Made::Eip(eip_id("eip-8"))));
    let sentence = "client token \"t\" stands for another request, which made EIP eip-8; use a new token";
    let other = NewEip { bandwidth_mbps: 2, ..first.clone() };
    conflict(&ledger, Command::AllocateEip(other), "token-used", sentence);
    conflict(&ledger, Command::CreateInstance(NewInstance { token: token("t"), ..ninth() }), "token-used", sentence);
    // Bob's tokens are his own, and after a day nobody's.
    let bobs = NewEip { account: account("bob"), id: eip_id("eip-9"), ..first.clone() };
    assert!(decide(&ledger, Command::AllocateEip(bobs), NOW).is_ok_and(|change| !change.is_empty()));
    assert_eq!(decide(&ledger, again("eip-9"), Time(NOW.after(DAY).0 - 1)), Ok(Change::default()));
    assert!(decide(&ledger, again("eip-9"), NOW.after(DAY)).is_ok_and(|change| !change.is_empty()));
    assert_eq!(ledger.next_due(), Some(NOW.after(DAY)));

    perform(&mut ledger, release("eip-8"));
    let sentence = "client token \"t\" made EIP eip-8, which is no more; use a new token";
    conflict(&ledger, again("eip-9"), "token-spent", sentence);
    for bad in ["", "a b", "é", &"x".repeat(65)] {
        let sentence = "a client token is 1 to 64 printable ASCII characters without blanks";
        assert_eq!(bad.parse::<ClientToken>().unwrap_err().to_string(), sentence);
    }
}

#[test]
fn the_requirements_are_the_default_and_the_cloud_of_today_a_setting() {
    let mut ledger = populated();
    let sentence = "8.8.8.0 is the ordinary public IP of instance ins-1, and users may not return those here \
                    (`return_ordinary_ip` of the configuration); terminate the instance or bind an EIP";
    conflict(&ledger, give_back("ins-1"), "return-denied", sentence);
    let sentence = "8.8.8.0 is the ordinary public IP of instance ins-1, and users may not change those here \
                    (`change_ordinary_ip` of the configuration); bind an EIP instead";
    conflict(&ledger, change("ins-1"), "change-denied", sentence);
    perform(&mut ledger, bind("eip-1", "ins-1"));
    perform(&mut ledger, unbind("eip-1", Reallocate::ByPolicy));
    assert!(ledger.instance(&instance_id("ins-1")).unwrap().ordinary.is_some());

    let mut ledger = under(Policy {
        on_bind: OnBind::Refuse,
        on_unbind: OnUnbind::Nothing,
        return_ordinary: Permission::Granted,
        change_ordinary: Permission::Granted,
        ..Policy::default()
    });
    let sentence = "instance ins-1 has the ordinary public IP 8.8.8.0, which must be returned before an EIP is bound; \
                    `eipgate instance return-ip ins-1` does that where it is permitted";
    conflict(&ledger, bind("eip-1", "ins-1"), "instance-has-ordinary-address", sentence);
    perform(&mut ledger, change("ins-1"));
    let changed = ledger.instance(&instance_id("ins-1")).unwrap().ordinary;
    assert_eq!(changed, Some(address("8.8.8.3")));
    perform(&mut ledger, give_back("ins-1"));
    perform(&mut ledger, bind("eip-1", "ins-1"));
    perform(&mut ledger, unbind("eip-1", Reallocate::ByPolicy));
    assert_eq!(ledger.association_of(&instance_id("ins-1")), None);
    perform(&mut ledger, bind("eip-1", "ins-1"));
    perform(&mut ledger, unbind("eip-1", Reallocate::Yes));
    assert!(ledger.association_of(&instance_id("ins-1")).is_some());
    for number in 2..5 {
        perform(&mut ledger, allocate(&format!("eip-{number}"), None));
    }
    let refusal = refused(&ledger, change("ins-1"));
    assert_eq!((refusal.kind(), refusal.code()), (RefusalKind::Exhausted, "no-address-to-change"));
}

#[test]
fn contradictions_about_states_and_packages_are_refused_by_name() {
    let mut ledger = populated();
    perform(&mut ledger, new_package("bwp-1", None));
    perform(&mut ledger, join("bwp-1", &Member::Eip(eip_id("eip-1"))));
    let check = |sentence: &str, corrupt: fn(&mut Snapshot)| {
        let mut snapshot = ledger.snapshot();
        corrupt(&mut snapshot);
        assert_eq!(Ledger::restore(ledger.pool().clone(), snapshot).unwrap_err().to_string(), sentence);
    };
    check(
        "instance ins-1 is stored as stopped without charge and yet with the ordinary public IP 8.8.8.0",
        |snapshot| {
            snapshot.instances[0].state = InstanceState::Stopped(StopMode::StopCharging);
        },
    );
    check("EIP eip-1 is stored as sharing package bwp-1, which its account does not have", |snapshot| {
        snapshot.packages.clear();
    });
    check("EIP eip-1 is stored as sharing package bwp-1, which its account does not have", |snapshot| {
        snapshot.packages[0].account = account("bob");
    });
}
