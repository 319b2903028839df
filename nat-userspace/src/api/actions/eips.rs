//! EIPs allocated, bound, unbound, released, converted and changed; ordinary public IPs given up and changed.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::error::ApiError;
use super::asked::{Answer, Asked, EGRESS, bandwidth, charge_type, eip_id, fields};
use super::instances::card_of;
use super::page::tags;
use super::params::Params;
use crate::address::{
    ChargeType, Command, EipChanges, EipDetail, Holder, InstanceId, NewEip, PackageId, Prepaid, Reallocate, Renewal,
    Together,
};

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
/// How an address itself is charged.
const ADDRESSES_CHARGED: &str = "IP_POSTPAID_BY_HOUR";
const FIELDS_OF_OTHER_KINDS: [&str; 3] = ["AnycastZone", "AntiDDoSPackageId", "DedicatedClusterId"];
const PROVIDERS: [&str; 4] = ["BGP", "CMCC", "CTCC", "CUCC"];

pub(super) fn allocate(asked: &mut Asked<'_>) -> Answer {
    let params = asked.params;
    let count = params.number("AddressCount")?.unwrap_or(1);
    let count = usize::try_from(count).ok().filter(|count| (1..=20).contains(count));
    let count = count.ok_or_else(|| ApiError::new("InvalidParameterValue.Range", "AddressCount must be 1 to 20"))?;
    check_kind(params)?;
    let package = params.text("BandwidthPackageId")?;
    let not_found = |_| ApiError::new("InvalidParameterValue.BandwidthPackageNotFound", "there is no such package");
    let package: Option<PackageId> = package.map(|text| text.parse()).transpose().map_err(not_found)?;
    let charge = match params.text("InternetChargeType")? {
        Some(text) => charge_type(&text)?,
        None if package.is_some() => ChargeType::BandwidthPackage,
        None => ChargeType::OF_EIPS,
    };
    let bandwidth_mbps = bandwidth(params.number("InternetMaxBandwidthOut")?.unwrap_or(1))?;
    let address = address(asked, count)?;
    let provider = params.text("InternetServiceProvider")?;
    if let Some(strange) = provider.as_ref().filter(|provider| !PROVIDERS.contains(&provider.as_str())) {
        let message = format!("InternetServiceProvider {strange:?} is not one of {}", PROVIDERS.join(", "));
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    let detail = EipDetail {
        tags: tags(&params.objects("Tags")?)?,
        provider: provider.filter(|provider| provider != "BGP"),
        charge_changes: 0,
        prepaid: prepaid(asked, charge)?,
    };
    let name = params.text("AddressName")?;
    let token = asked.retry()?;
    let new = |id| {
        Command::AllocateEip(NewEip {
            address,
            name: name.clone(),
            bandwidth_mbps,
            charge_type: charge,
            package: package.clone(),
            detail: Some(Box::new(detail.clone())),
            ..NewEip::new(id, asked.call.account.clone())
        })
    };
    let drawn = asked.gateway.new_eip_ids(count);
    let commands = drawn.iter().cloned().map(new).collect();
    asked.perform(Command::Together(Together { commands, token: token.clone() }))?;
    let made = token.and_then(|retry| asked.ledger().made_with(&retry.account, &retry.token));
    let ids = made.map_or(drawn.as_slice(), |made| made.eips());
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let mut answer = fields(json!({ "AddressSet": ids }));
    answer.extend(task_text(asked));
    Ok(answer)
}

/// A named address is one that the account had before, which the requirements never give back.
fn address(asked: &Asked<'_>, count: usize) -> Result<Option<Ipv4Addr>, ApiError> {
    let code = "InvalidParameterValue.AddressIpNotAvailable";
    let named = asked.params.texts("VipCluster")?;
    match (named.as_slice(), count) {
        ([], _) => Ok(None),
        ([one], 1) => {
            one.parse().map(Some).map_err(|_| ApiError::new(code, format!("VipCluster {one:?} is not an address")))
        }
        _ => Err(ApiError::new(code, "VipCluster names one address, for an AddressCount of 1")),
    }
}

/// Refuses what only addresses of another kind have than those there are here.
fn check_kind(params: Params<'_>) -> Result<(), ApiError> {
    let refuse = |code: &'static str, message: String| Err(ApiError::new(code, message));
    if let Some(kind) = params.text("AddressType")?.filter(|kind| kind != "EIP") {
        let message = format!("AddressType {kind:?} is not offered here: EIP");
        return refuse("InvalidParameterValue.AddressTypeConflict", message);
    }
    if let Some(egress) = params.text("Egress")?.filter(|egress| egress != EGRESS) {
        let message = format!("Egress {egress:?} is not offered here: {EGRESS}");
        return refuse("InvalidParameterValue.UnsupportedEgress", message);
    }
    if let Some(charge) = params.text("IPChargeType")?.filter(|charge| charge != ADDRESSES_CHARGED) {
        let message = format!("IPChargeType {charge:?} is not offered here: {ADDRESSES_CHARGED}");
        return refuse("InvalidParameterValue.Combination", message);
    }
    match FIELDS_OF_OTHER_KINDS.into_iter().find(|name| params.has(name)) {
        Some(name) => refuse("InvalidParameterValue.Combination", format!("{name} does not go with AddressType EIP")),
        None => Ok(()),
    }
}

/// What is paid for in advance, where that is how it is charged.
fn prepaid(asked: &mut Asked<'_>, charge: ChargeType) -> Result<Option<Prepaid>, ApiError> {
    let prepaid = asked.params.object("AddressChargePrepaid")?;
    let renewal = match prepaid.number("AutoRenewFlag")? {
        Some(0) => Renewal::Manual,
        None | Some(1) => Renewal::Automatic,
        Some(2) => Renewal::Never,
        Some(other) => {
            return Err(ApiError::new(
                "InvalidParameterValue.Range",
                format!("AutoRenewFlag must be 0 to 2, not {other}"),
            ));
        }
    };
    if charge != ChargeType::BandwidthPrepaid {
        return Ok(None);
    }
    let months = prepaid.number("Period")?.unwrap_or(1);
    let months = u32::try_from(months).ok().filter(|months| (1..=60).contains(months));
    let months = months.ok_or_else(|| ApiError::new("InvalidParameterValue.Range", "Period must be 1 to 60 months"))?;
    // A retry must say the same, which the token's words do; the time is only told.
    Ok(Some(Prepaid { until: asked.gateway.now().after(MONTH * months), renewal }))
}

pub(super) fn associate(asked: &mut Asked<'_>) -> Answer {
    let eip = asked.eip(&asked.params.needed_text("AddressId")?)?;
    if asked.params.flag("EipDirectConnection")? == Some(true) {
        let message = "an instance here never carries its public address; bind without EipDirectConnection";
        return Err(ApiError::new("UnsupportedOperation", message));
    }
    let instance = target(asked)?;
    let (account, by_card) = (asked.account(), asked.params.has("NetworkInterfaceId"));
    let taken = |error: ApiError| match by_card {
        true => error.instead_of("InvalidInstanceId.AlreadyBindEip", "InvalidPrivateIpAddress.AlreadyBindEip"),
        false => error,
    };
    asked.perform(Command::BindEip { account, eip, instance }).map_err(not_in_this_state).map_err(taken)?;
    Ok(task_text(asked))
}

fn not_in_this_state(error: ApiError) -> ApiError {
    let state = "UnsupportedOperation.InstanceStatusNotPermit";
    let states = ["Pending", "Running", "Stopped", "Shutdown"];
    let codes = states.map(|word| format!("UnsupportedOperation.InstanceState{word}"));
    codes.iter().fold(error, |error, code| error.instead_of(code, state))
}

/// The instance named, or the one whose network card is.
fn target(asked: &Asked<'_>) -> Result<InstanceId, ApiError> {
    let params = asked.params;
    let instance = params.text("InstanceId")?;
    let card = (params.text("NetworkInterfaceId")?, params.text("PrivateIpAddress")?);
    match (instance, card) {
        (Some(instance), (None, None)) => asked.instance(&instance),
        (None, (Some(card), Some(private))) => {
            let strange = || ApiError::new("InvalidNetworkInterfaceId.NotFound", format!("there is no card {card:?}"));
            let id = card.strip_prefix("eni-").map(|rest| format!("ins-{rest}")).ok_or_else(strange)?;
            let id = asked.instance(&id).map_err(|_| strange())?;
            let carried = asked.ledger().instance(&id).map(|instance| instance.private.to_string());
            if carried.as_ref() != Some(&private) {
                let message = format!("the card {} does not carry {private}", card_of(&id));
                return Err(ApiError::new("InvalidNetworkInterfaceId.NotFound", message));
            }
            Ok(id)
        }
        (Some(_), _) => {
            let message = "give InstanceId, or NetworkInterfaceId and PrivateIpAddress, not both";
            Err(ApiError::new("InvalidParameterConflict", message))
        }
        (None, _) => {
            let message = "give InstanceId, or NetworkInterfaceId and PrivateIpAddress";
            Err(ApiError::new("InvalidParameterValue.MissingAssociateEntity", message))
        }
    }
}

pub(super) fn disassociate(asked: &mut Asked<'_>) -> Answer {
    let eip = asked.eip(&asked.params.needed_text("AddressId")?)?;
    let reallocate = match asked.params.flag("ReallocateNormalPublicIp")? {
        None => Reallocate::ByPolicy,
        Some(true) => Reallocate::Yes,
        Some(false) => Reallocate::No,
    };
    let account = asked.account();
    asked.perform(Command::UnbindEip { account, eip, reallocate }).map_err(not_in_this_state)?;
    Ok(task_text(asked))
}

pub(super) fn release(asked: &mut Asked<'_>) -> Answer {
    let account = asked.account();
    let eips = asked.eips("AddressIds")?;
    let release = |eip| Command::ReleaseEip { account: account.clone(), eip };
    asked.perform_all(eips.into_iter().map(release).collect())?;
    Ok(task_text(asked))
}

pub(super) fn transform(asked: &mut Asked<'_>) -> Answer {
    let instance = asked.instance(&asked.params.needed_text("InstanceId")?)?;
    let (id, account) = (asked.gateway.new_eip_id(), asked.account());
    asked.perform(Command::ConvertOrdinary { id: id.clone(), account, instance, name: None })?;
    let mut answer = task_number(asked);
    answer.insert("AddressId".into(), id.as_str().into());
    Ok(answer)
}

pub(super) fn return_ordinary(asked: &mut Asked<'_>) -> Answer {
    let account = asked.account();
    let mut commands = Vec::new();
    for text in asked.params.needed_texts("AddressIps")? {
        let address: Option<Ipv4Addr> = text.parse().ok();
        let instance = match address.and_then(|address| asked.ledger().holder(address)) {
            Some(Holder::Ordinary(instance)) => asked.instance(instance.as_str()).ok(),
            _ => None,
        };
        let unknown = || {
            let message = format!("{text} is no ordinary public IP of an instance of yours");
            ApiError::new("InvalidParameterValue.AddressIpsNotFound", message)
        };
        let (account, instance) = (account.clone(), instance.ok_or_else(unknown)?);
        commands.push(Command::ReturnOrdinary { account, instance });
    }
    asked.perform_all(commands)?;
    Ok(fields(json!({})))
}

pub(super) fn adjust(asked: &mut Asked<'_>) -> Answer {
    if let Some(eip) = asked.params.text("AddressId")? {
        let message = format!("EIP {eip} keeps its address until it is released; allocate another");
        return Err(ApiError::new("UnsupportedOperation", message));
    }
    let instance = asked.instance(&asked.params.needed_text("InstanceId")?)?;
    let account = asked.account();
    let changed = asked.perform(Command::ChangeOrdinary { account, instance });
    changed.map_err(|error| {
        error.instead_of("AddressQuotaLimitExceeded.DailyAllocate", "LimitExceeded.DailyChangeAddressQuota")
    })?;
    Ok(task_number(asked))
}

pub(super) fn rename(asked: &mut Asked<'_>) -> Answer {
    let (params, account) = (asked.params, asked.account());
    let eip = asked.eip(&params.needed_text("AddressId")?)?;
    for name in ["EipDirectConnection", "EipVisibleOnEni"] {
        if params.flag(name)? == Some(true) {
            let message = format!("an instance here never carries its public address, so there is no {name}");
            return Err(ApiError::new("UnsupportedOperation.ModifyAddressAttribute", message));
        }
    }
    let changes = EipChanges { name: params.text_or_none("AddressName")?, ..EipChanges::default() };
    asked.perform(Command::ModifyEip { account, eip, changes })?;
    Ok(fields(json!({})))
}

pub(super) fn set_bandwidth(asked: &mut Asked<'_>) -> Answer {
    let wanted = asked.params.number("InternetMaxBandwidthOut")?;
    let wanted = wanted.ok_or_else(|| super::params::missing("InternetMaxBandwidthOut"))?;
    let changes = EipChanges { bandwidth_mbps: Some(bandwidth(wanted)?), ..EipChanges::default() };
    let account = asked.account();
    let modify = |eip| Command::ModifyEip { account: account.clone(), eip, changes: changes.clone() };
    let commands = asked.eips("AddressIds")?.into_iter().map(modify).collect();
    asked.perform_all(commands)?;
    Ok(task_text(asked))
}

pub(super) fn set_charge(asked: &mut Asked<'_>) -> Answer {
    let eip = eip_id(&asked.params.needed_text("AddressId")?).and_then(|id| asked.eip(id.as_str()))?;
    let wanted = charge_type(&asked.params.needed_text("InternetChargeType")?)?;
    if asked.ledger().eip(&eip).is_some_and(|eip| eip.terms.charge_type == wanted) {
        let message = format!("EIP {eip} is charged as {wanted} already");
        return Err(ApiError::new("InvalidParameterValue.InternetChargeTypeNotChanged", message));
    }
    let bandwidth_mbps = asked.params.number("InternetMaxBandwidthOut")?.map(bandwidth).transpose()?;
    let prepaid = prepaid(asked, wanted)?;
    let changes = EipChanges { charge_type: Some(wanted), bandwidth_mbps, prepaid, ..EipChanges::default() };
    let account = asked.account();
    asked.perform(Command::ModifyEip { account, eip, changes })?;
    Ok(fields(json!({})))
}

pub(super) fn task_result(asked: &mut Asked<'_>) -> Answer {
    let id = match (asked.params.number("TaskId")?, asked.params.has("DealName")) {
        (Some(id), _) => id,
        (None, true) => return Err(ApiError::new("InvalidParameterValue", "there are no deals here; give TaskId")),
        (None, false) => return Err(super::params::missing("TaskId")),
    };
    match u64::try_from(id).ok().filter(|id| asked.is_task(*id)) {
        Some(id) => Ok(fields(json!({ "TaskId": id, "Result": "SUCCESS" }))),
        None => Err(ApiError::new("InvalidParameterValue", format!("there is no task {id}"))),
    }
}

/// What has been done as a task, whose id is a text in the answers of some actions.
fn task_text(asked: &mut Asked<'_>) -> Map<String, Value> {
    fields(json!({ "TaskId": asked.task().to_string() }))
}

/// And a number in those of others.
fn task_number(asked: &mut Asked<'_>) -> Map<String, Value> {
    fields(json!({ "TaskId": asked.task() }))
}
