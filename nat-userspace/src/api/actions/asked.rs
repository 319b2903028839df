//! What an action is carried out with: the call, the gateway, and what both agree on about ids and tasks.

use serde_json::{Map, Value};

use super::super::call::Call;
use super::super::error::ApiError;
use super::Site;
use super::params::Params;
use super::walk::Walk;
use crate::address::{
    AccountId, ChargeType, Command, EipId, InstanceChanges, InstanceId, Ledger, Operation, PackageId, Refusal, Retry,
    Time, Together,
};
use crate::gateway::Operations;

/// The only way out there is, as the API calls it.
pub(super) const EGRESS: &str = "center_egress1";

/// The fields of a response, or why there are none.
pub(super) type Answer = Result<Map<String, Value>, ApiError>;

/// A call on the gateway's task.
pub(super) struct Asked<'a> {
    pub(super) call: &'a Call,
    pub(super) params: Params<'a>,
    pub(super) gateway: &'a mut dyn Operations,
    pub(super) site: &'a Site,
    pub(super) walk: &'a mut Walk,
}

impl Asked<'_> {
    pub(super) fn account(&self) -> AccountId {
        self.call.account.clone()
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.gateway.ledger()
    }

    /// Carries out one command.
    pub(super) fn perform(&mut self, command: Command) -> Result<(), ApiError> {
        Ok(self.gateway.perform(command).map(drop)?)
    }

    /// Carries out all or none.
    pub(super) fn perform_all(&mut self, commands: Vec<Command>) -> Result<(), ApiError> {
        self.perform(Command::Together(Together::new(commands)))
    }

    /// The token by which the call may be sent again, and the words it stands for.
    pub(super) fn retry(&self) -> Result<Option<Retry>, ApiError> {
        let Some(text) = self.params.text("ClientToken")? else { return Ok(None) };
        if text.len() > 64 {
            return Err(ApiError::new("InvalidClientToken.TooLong", "a ClientToken has at most 64 characters"));
        }
        let invalid = |problem| ApiError::new("InvalidParameterValue", format!("ClientToken {text:?}: {problem}"));
        let token = text.parse().map_err(invalid)?;
        let mut words = self.call.params.clone();
        if let Some(words) = words.as_object_mut() {
            words.remove("ClientToken");
        }
        Ok(Some(Retry { account: self.account(), token, request: format!("{} {words}", self.call.action) }))
    }

    /// The account's instances of these ids, each once.
    pub(super) fn instances(&self, name: &str) -> Result<Vec<InstanceId>, ApiError> {
        let mut ids = Vec::new();
        for text in self.params.needed_texts(name)? {
            let id = self.instance(&text)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.len() > 100 {
            let message = format!("{name} must name at most 100 instances");
            return Err(ApiError::new("InvalidParameterValue.LimitExceeded", message));
        }
        Ok(ids)
    }

    /// The account's instance of this id.
    pub(super) fn instance(&self, text: &str) -> Result<InstanceId, ApiError> {
        let id = instance_id(text)?;
        let own = self.ledger().instance(&id).filter(|instance| instance.account == self.call.account);
        match own {
            Some(_) => Ok(id),
            None => {
                let (selector, account) = (text.to_owned(), self.account());
                Err(Refusal::UnknownInstance { selector, account, vpc: None }.into())
            }
        }
    }

    /// The account's EIP of this id.
    pub(super) fn eip(&self, text: &str) -> Result<EipId, ApiError> {
        let id = eip_id(text)?;
        match self.ledger().eip(&id).filter(|eip| eip.account == self.call.account) {
            Some(_) => Ok(id),
            None => Err(Refusal::UnknownEip { selector: text.to_owned(), account: self.account() }.into()),
        }
    }

    /// The account's EIPs of these ids, each once.
    pub(super) fn eips(&self, name: &str) -> Result<Vec<EipId>, ApiError> {
        let mut ids = Vec::new();
        for text in self.params.needed_texts(name)? {
            let id = self.eip(&text)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The account's package of this id.
    pub(super) fn package(&self, text: &str) -> Result<PackageId, ApiError> {
        Ok(self.ledger().find_package(&self.call.account, text).map_err(ApiError::from)?.id.clone())
    }

    /// What the instance is to remember of this call.
    pub(super) fn noted(&self, instance: &InstanceId) -> Command {
        let operation = Operation { name: self.call.action.clone(), request: self.call.request_id.clone() };
        let changes = InstanceChanges { operation: Some(operation), ..InstanceChanges::default() };
        Command::AlterInstance { account: self.account(), instance: instance.clone(), changes }
    }

    /// A task for what has been done. Its id needs nothing to be remembered but whose it is: every change is in effect
    /// when it is answered, so a task that has an id has succeeded. The last digits tell whose.
    pub(super) fn task(&mut self) -> u64 {
        let number = 10_000 + self.gateway.now().0 / 10 % 90_000;
        number * 1000 + check_digits(number, &self.call.account)
    }

    /// Whether a task of this id may have been the account's.
    pub(super) fn is_task(&self, id: u64) -> bool {
        let number = id / 1000;
        (10_000..100_000).contains(&number) && id % 1000 == check_digits(number, &self.call.account)
    }
}

fn check_digits(number: u64, account: &AccountId) -> u64 {
    // FNV-1a: the same on every node and in every version.
    let bytes = number.to_be_bytes().into_iter().chain(account.as_str().bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) % 1000
}

fn is_id(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix);
    rest.is_some_and(|rest| {
        rest.len() == 8 && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

pub(super) fn instance_id(text: &str) -> Result<InstanceId, ApiError> {
    let malformed = || ApiError::new("InvalidInstanceId.Malformed", format!("{text:?} is not like ins-12345678"));
    if is_id(text, "ins-") { text.parse().map_err(|_| malformed()) } else { Err(malformed()) }
}

pub(super) fn eip_id(text: &str) -> Result<EipId, ApiError> {
    let code = "InvalidParameterValue.AddressIdMalformed";
    let malformed = || ApiError::new(code, format!("{text:?} is not like eip-12345678"));
    if is_id(text, "eip-") { text.parse().map_err(|_| malformed()) } else { Err(malformed()) }
}

/// In seconds, as the API has it.
pub(super) fn iso(time: Time) -> String {
    Time(time.0 / 1000 * 1000).to_string()
}

pub(super) fn charge_type(text: &str) -> Result<ChargeType, ApiError> {
    text.parse().map_err(|problem| ApiError::new("InvalidParameterValue", format!("InternetChargeType: {problem}")))
}

/// A bandwidth in Mbit/s. Whether it goes with how it is charged, the ledger knows.
pub(super) fn bandwidth(mbps: i64) -> Result<u32, ApiError> {
    if mbps < 0 {
        let message = "InternetMaxBandwidthOut must not be below 0";
        return Err(ApiError::new("InvalidParameterValue.BandwidthOutOfRange", message));
    }
    Ok(u32::try_from(mbps).unwrap_or(u32::MAX))
}

/// A part of a list under its name, with how long the list is. The rows move: `json!` would write each of them anew.
pub(super) fn list(total: usize, name: &str, rows: Vec<Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("TotalCount".into(), total.into());
    fields.insert(name.into(), Value::Array(rows));
    fields
}

pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
