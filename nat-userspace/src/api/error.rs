//! Why a call was not done, in the cloud's words.

use std::borrow::Cow;

use crate::address::{Daily, InstanceState, Refusal};
use crate::gateway::GatewayError;

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The cloud's code, like `InvalidParameterValue.Range`; clients decide by it.
    pub code: Cow<'static, str>,
    /// What happened, to which object, and what to do.
    pub message: String,
}

impl ApiError {
    /// With that code.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError { code: code.into(), message: message.into() }
    }

    /// The same under another code, where one action says it otherwise than the rest.
    #[must_use]
    pub fn instead_of(self, code: &str, other: &'static str) -> ApiError {
        if self.code == code { ApiError { code: other.into(), ..self } } else { self }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        ApiError::new(code(&refusal), refusal.to_string())
    }
}

impl From<GatewayError> for ApiError {
    fn from(error: GatewayError) -> Self {
        let code = match &error {
            GatewayError::Refused(refusal) => code(refusal),
            GatewayError::UnknownVpc { .. } => "InvalidVpcId.NotFound",
            GatewayError::NoPrivateAddress { .. } => "ResourceInsufficient.Subnet",
            GatewayError::OwnAddressInPool { .. } | GatewayError::PruningAhead { .. } => "InvalidParameterValue",
            GatewayError::NotStored(_)
            | GatewayError::ReadOnly(_)
            | GatewayError::NotInEffect(_)
            | GatewayError::NotReloaded(_)
            | GatewayError::Defect
            | GatewayError::Stopping => "InternalError",
        };
        ApiError::new(code, error.to_string())
    }
}

/// Every refusal there is, so that a new one does not compile before it has a code here.
fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownInstance { .. } => "InvalidInstanceId.NotFound",
        Refusal::UnknownEip { .. } => "InvalidAddressId.NotFound",
        Refusal::AmbiguousInstance { .. } | Refusal::AmbiguousName { .. } => "InvalidParameterValue",
        Refusal::OrdinaryAddress { .. } => "UnsupportedOperation.AddressStatusNotPermit",
        Refusal::InstanceExists { .. } | Refusal::EipExists { .. } | Refusal::PackageExists { .. } => "InternalError",
        Refusal::PrivateAddressTaken { .. } | Refusal::PrivateAddressTwice { .. } => "VpcIpIsUsed",
        Refusal::PrivateAddressUnusable { .. } | Refusal::PrivateAddressInPool { .. } => "VpcAddrNotInSubNet",
        Refusal::NameInvalid { .. } | Refusal::NameTaken { .. } | Refusal::NameTwice { .. } => "InvalidParameterValue",
        Refusal::NotInPool { .. }
        | Refusal::AddressTaken { .. }
        | Refusal::Excluded { .. }
        | Refusal::CoolingDown { .. }
        | Refusal::PublicAddressTwice { .. } => "InvalidParameterValue.AddressIpNotAvailable",
        Refusal::PoolExhausted { .. }
        | Refusal::NoAddressToReallocate { .. }
        | Refusal::NoAddressToStart { .. }
        | Refusal::NoAddressToChange { .. } => "ResourceInsufficient",
        Refusal::NoBandwidth { .. } | Refusal::OrdinaryNeedsBandwidth { .. } => {
            "InvalidParameterValue.BandwidthTooSmall"
        }
        Refusal::EipAlreadyBound { .. } | Refusal::EipNotBound { .. } => "UnsupportedOperation.AddressStatusNotPermit",
        Refusal::InstanceHasEip { .. } => "InvalidInstanceId.AlreadyBindEip",
        Refusal::EipBound { .. } => "InvalidAddressState",
        Refusal::CapacityReached { .. } => "LimitExceeded",
        Refusal::Pair { refusal, .. } => code(refusal),
        Refusal::UnknownPackage { .. } => "InvalidParameterValue.BandwidthPackageNotFound",
        Refusal::UnknownMember { .. } => "InvalidParameterValue.ResourceNotFound",
        Refusal::PackageInUse { .. } => "InvalidParameterValue.BandwidthPackageInUse",
        Refusal::IsMember { .. } | Refusal::MemberElsewhere { .. } => "InvalidParameterValue.ResourceAlreadyExisted",
        Refusal::NoMember { .. } => "InvalidParameterValue.ResourceNotExisted",
        Refusal::PackageChargeType { .. } | Refusal::PackageNeeded => "InvalidParameterValue.Combination",
        Refusal::BandwidthOutOfRange { .. } => "InvalidParameterValue.BandwidthOutOfRange",
        Refusal::ChargeChangesSpent { .. } => "LimitExceeded.ModifyAddressInternetChargeTypeQuota",
        Refusal::WrongState { state, .. } => match state {
            InstanceState::Pending => "UnsupportedOperation.InstanceStatePending",
            InstanceState::Running => "UnsupportedOperation.InstanceStateRunning",
            InstanceState::Stopped(_) => "UnsupportedOperation.InstanceStateStopped",
            InstanceState::Shutdown => "UnsupportedOperation.InstanceStateShutdown",
        },
        Refusal::PrepaidStop { .. } => "UnsupportedOperation.StoppedModeStopCharging",
        Refusal::NotPrepaid { .. } => "UnsupportedOperation.InstanceChargeType",
        Refusal::PeriodUnusable => "InvalidPeriod",
        Refusal::BandwidthNeeded => "InvalidParameterValue.BandwidthTooSmall",
        Refusal::BandwidthCarriesAddress { .. } => "InvalidParameterValue.BandwidthTooSmall",
        Refusal::NoOrdinary { .. } => "InvalidParameterValue.InstanceHasNoWanIP",
        Refusal::ReturnDenied { .. } | Refusal::ChangeDenied { .. } => "UnsupportedOperation",
        Refusal::InstanceHasOrdinary { .. } => "InvalidParameterValue.InstanceHasWanIP",
        Refusal::EipBlocked { .. } => "InvalidAddressId.Blocked",
        Refusal::EipInArrears { .. } => "OperationDenied.AddressInArrears",
        Refusal::QuotaReached { .. } => "AddressQuotaLimitExceeded",
        Refusal::DayLimitReached { what: Daily::Applications | Daily::Reallocations, .. } => {
            "AddressQuotaLimitExceeded.DailyAllocate"
        }
        Refusal::TokenUsed { .. } | Refusal::TokenSpent { .. } => "UnsupportedOperation.IdempotentParameterMismatch",
        Refusal::ReasonInvalid { .. }
        | Refusal::AlreadyFenced { .. }
        | Refusal::NotFenced { .. }
        | Refusal::UnknownPool { .. }
        | Refusal::PoolExists { .. }
        | Refusal::PoolRefused(_)
        | Refusal::PoolHoldsInstance { .. }
        | Refusal::PoolDraining { .. }
        | Refusal::PoolInUse { .. } => "UnsupportedOperation",
    }
}
