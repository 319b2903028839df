//! Client tokens: a request that is sent again because its answer was lost must not make a second object.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::{AccountId, Command, EipId, InstanceId, Ledger, NewEip, NewInstance, Refusal, Time};

/// How long a token stands for what it made.
pub const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
const LONGEST: usize = 64;

/// A client's own name for one request: 1 to 64 printable ASCII characters without blanks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientToken(Arc<str>);

impl ClientToken {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let well_formed = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        if well_formed { Ok(ClientToken(Arc::from(text))) } else { Err(TokenError) }
    }
}

impl fmt::Display for ClientToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Text that is no client token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenError;

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a client token is 1 to {LONGEST} printable ASCII characters without blanks")
    }
}

impl Error for TokenError {}

/// What a request with a token made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    /// An instance.
    Instance(InstanceId),
    /// Several instances, in the order of the request.
    Instances(Vec<InstanceId>),
    /// An EIP.
    Eip(EipId),
    /// Several EIPs, in the order of the request.
    Eips(Vec<EipId>),
}

impl Made {
    /// One instance, or several.
    pub fn of_instances(mut made: Vec<InstanceId>) -> Option<Made> {
        Some(if made.len() > 1 { Made::Instances(made) } else { Made::Instance(made.pop()?) })
    }

    /// One EIP, or several.
    pub fn of_eips(mut made: Vec<EipId>) -> Option<Made> {
        Some(if made.len() > 1 { Made::Eips(made) } else { Made::Eip(made.pop()?) })
    }

    /// The instances.
    pub fn instances(&self) -> &[InstanceId] {
        match self {
            Made::Instance(one) => std::slice::from_ref(one),
            Made::Instances(many) => many,
            Made::Eip(_) | Made::Eips(_) => &[],
        }
    }

    /// The EIPs.
    pub fn eips(&self) -> &[EipId] {
        match self {
            Made::Eip(one) => std::slice::from_ref(one),
            Made::Eips(many) => many,
            Made::Instance(_) | Made::Instances(_) => &[],
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Made::Instance(instance) => write!(f, "instance {instance}"),
            Made::Instances(instances) => write!(f, "{} instances", instances.len()),
            Made::Eip(eip) => write!(f, "EIP {eip}"),
            Made::Eips(eips) => write!(f, "{} EIPs", eips.len()),
        }
    }
}

/// A token that was used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsedToken {
    /// By whom: accounts do not know of each other's tokens.
    pub account: AccountId,
    /// The token.
    pub token: ClientToken,
    /// What was asked, word for word.
    pub request: String,
    /// What came of it.
    pub made: Made,
    /// When.
    pub at: Time,
}

impl UsedToken {
    /// When it no longer stands for anything.
    pub fn expires(&self) -> Time {
        self.at.after(TOKEN_LIFE)
    }

    /// What this command will leave, if it carries a token.
    pub(super) fn by(command: &Command, now: Time) -> Option<UsedToken> {
        // Everything that was asked, but neither the token nor the id, which was drawn here.
        let (account, token, request, made) = match command {
            Command::CreateInstance(new) => {
                let NewInstance {
                    id,
                    account,
                    vpc,
                    private,
                    name,
                    naming: _,
                    bandwidth_mbps,
                    charge_type,
                    package,
                    prepaid,
                    begins,
                    detail: _,
                    token,
                } = new;
                let request = format!(
                    "create {vpc} {private} {name:?} {bandwidth_mbps} {charge_type} {:?} {:?} {begins:?}",
                    package.as_ref().map(|package| package.as_str()),
                    prepaid.map(|period| period.as_millis()),
                );
                (account, token.as_ref()?, request, Made::Instance(id.clone()))
            }
            Command::AllocateEip(new) => {
                let NewEip { id, account, address, name, bandwidth_mbps, charge_type, package, detail: _, token } = new;
                let request = format!(
                    "allocate {address:?} {name:?} {bandwidth_mbps} {charge_type} {:?}",
                    package.as_ref().map(|package| package.as_str()),
                );
                (account, token.as_ref()?, request, Made::Eip(id.clone()))
            }
            Command::Together(together) => return together.leaves(now),
            _ => return None,
        };
        Some(UsedToken { account: account.clone(), token: token.clone(), request, made, at: now })
    }
}

impl Ledger {
    /// What a token stands for. It may be forgotten any time after its life.
    pub fn made_with(&self, account: &AccountId, token: &ClientToken) -> Option<&Made> {
        Some(&self.tokens.get(&(account.clone(), token.clone()))?.made)
    }

    /// Every token that is remembered, by account.
    pub fn tokens(&self) -> impl Iterator<Item = &UsedToken> {
        self.tokens.values()
    }

    /// Whether the request was carried out before. Refused where the token stands for another, or for what is no more.
    pub(super) fn is_repeated(&self, asked: &UsedToken) -> Result<bool, Refusal> {
        let used = self.tokens.get(&(asked.account.clone(), asked.token.clone()));
        let Some(used) = used.filter(|used| used.expires() > asked.at) else { return Ok(false) };
        let (token, made) = (used.token.clone(), used.made.clone());
        if used.request != asked.request {
            return Err(Refusal::TokenUsed { token, made });
        }
        let lives = made.instances().iter().any(|id| self.instances.contains_key(id))
            || made.eips().iter().any(|id| self.eips.contains_key(id));
        if lives { Ok(true) } else { Err(Refusal::TokenSpent { token, made }) }
    }
}
