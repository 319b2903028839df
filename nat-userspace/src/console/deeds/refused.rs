//! What the gateway refuses, in the page's language. In English it says so itself, and where a dialog cannot be refused like
//! that, its own sentence does everywhere.

use crate::address::{Daily, InstanceState, Limit, Refusal, Time};
use crate::console::parts::state_word;
use crate::console::words::{Language, Word};
use crate::gateway::GatewayError;

/// The sentence, where it is not the gateway's own.
pub(super) fn told(language: Language, error: &GatewayError) -> Option<String> {
    match language {
        Language::English => None,
        Language::Chinese => in_chinese(error),
    }
}

/// A variant that no dialog leads to is named, so that a new one is not forgotten here.
fn in_chinese(error: &GatewayError) -> Option<String> {
    Some(match error {
        GatewayError::Refused(refusal) => return refusal_in_chinese(refusal),
        GatewayError::NotStored(why) => format!("修改未能保存，因此没有进行（{why}）。"),
        GatewayError::ReadOnly(why) => format!("存储目前为只读，没有进行任何修改，网关每秒都会重新检查（{why}）。"),
        GatewayError::NotInEffect(why) => format!("修改已保存但尚未生效，网关每秒都会重试（{why}）。"),
        GatewayError::Defect => Language::Chinese.say(Word::Defect).to_owned(),
        GatewayError::Stopping => Language::Chinese.say(Word::Stopping).to_owned(),
        GatewayError::UnknownVpc { .. }
        | GatewayError::NoPrivateAddress { .. }
        | GatewayError::OwnAddressInPool { .. }
        | GatewayError::PruningAhead { .. }
        | GatewayError::NotReloaded(_) => return None,
    })
}

fn refusal_in_chinese(refusal: &Refusal) -> Option<String> {
    Some(match refusal {
        Refusal::UnknownInstance { selector, .. } => format!("您的账号下没有实例“{selector}”。"),
        Refusal::UnknownEip { selector, .. } => format!("您的账号下没有弹性公网 IP“{selector}”。"),
        Refusal::UnknownPackage { selector, .. } => format!("您的账号下没有带宽包“{selector}”。"),
        Refusal::AmbiguousName { name, instances: [one, other] } => {
            format!("有多个实例名为“{name}”，例如 {one} 和 {other}，请填写实例 ID。")
        }
        Refusal::AmbiguousInstance { private, vpcs: [one, other] } => {
            format!("多个 VPC（例如 {one} 和 {other}）中都有内网 IP {private}，请填写实例 ID。")
        }
        Refusal::OrdinaryAddress { address, instance } => {
            format!("{address} 是实例 {instance} 的普通公网 IP，其生命周期与实例相同，不能绑定、解绑或释放。")
        }
        Refusal::NameInvalid { name, .. } => format!(
            "“{name}”不能用作名称。名称最多 128 个字符，首尾不能是空格，不能含有控制字符；\
             实例名称也不能是 IPv4 地址或以 ins-、eip- 开头。"
        ),
        Refusal::PoolExhausted { next_free } => format!("地址池中没有可用的公网 IP。{}", remedy(*next_free)),
        Refusal::NoAddressToReallocate { eip, instance, next_free } => format!(
            "地址池中没有可分配给实例 {instance} 的普通公网 IP，{eip} 仍保持绑定。{}也可以在解绑时不分配普通公网 IP。",
            remedy(*next_free)
        ),
        Refusal::NoBandwidth { eip, instance } => {
            format!(
                "实例 {instance} 自身没有公网带宽，无法分配普通公网 IP，{eip} 仍保持绑定。请在解绑时不分配普通公网 IP。"
            )
        }
        Refusal::EipAlreadyBound { eip, instance, asked } if instance == asked => {
            format!("{eip} 已绑定到该实例 {instance}，无需操作。")
        }
        Refusal::EipAlreadyBound { eip, instance, .. } => format!("{eip} 已绑定到实例 {instance}，请先解绑。"),
        Refusal::InstanceHasEip { instance, eip } => {
            format!("实例 {instance} 已绑定弹性公网 IP {eip}，请先解绑该弹性公网 IP。")
        }
        Refusal::EipNotBound { eip } => format!("{eip} 未绑定任何实例，无需操作。"),
        Refusal::EipBound { eip, instance } => format!("{eip} 已绑定到实例 {instance}，不能释放，请先解绑。"),
        Refusal::EipBlocked { eip } => format!("{eip} 已被封堵，不能绑定。请等待解封，或使用其他弹性公网 IP。"),
        Refusal::EipInArrears { eip } => format!("{eip} 已欠费，不能绑定。请先缴费，或使用其他弹性公网 IP。"),
        Refusal::InstanceHasOrdinary { instance, address } => {
            format!("实例 {instance} 有普通公网 IP {address}，须先退还才能绑定弹性公网 IP。")
        }
        Refusal::NoOrdinary { instance } => format!("实例 {instance} 没有普通公网 IP。"),
        Refusal::WrongState { instance, state, .. } => {
            let remedy = match state {
                InstanceState::Shutdown => "请先续费。",
                _ => "请先启动实例。",
            };
            let state = Language::Chinese.say(state_word(*state));
            format!("实例 {instance} 当前状态为“{state}”，不能进行此操作。{remedy}")
        }
        Refusal::BandwidthNeeded => "带宽不能为 0，请至少填写 1 Mbit/s。".to_owned(),
        Refusal::BandwidthCarriesAddress { instance, address } => format!(
            "实例 {instance} 有普通公网 IP {address}，带宽不能为 0。请至少保留 1 Mbit/s，或先将该地址转为弹性公网 IP。"
        ),
        Refusal::PackageChargeType { package, .. } => {
            format!("已加入带宽包 {package}，只能按带宽包计费。请先将其移出带宽包，或不修改计费模式。")
        }
        Refusal::PackageNeeded => "按带宽包计费须加入带宽包。请指定带宽包，或选择其他计费模式。".to_owned(),
        Refusal::BandwidthOutOfRange { mbps, charge_type } => {
            let most = charge_type.most_mbps();
            format!("该计费模式下带宽最高为 {most} Mbit/s，不能为 {mbps} Mbit/s。请填写较小的值，或选择其他计费模式。")
        }
        Refusal::ChargeChangesSpent { eip, limit } => {
            format!("{eip} 的计费模式已修改 {limit} 次，达到上限。请保持不变，或申请新的弹性公网 IP。")
        }
        Refusal::CapacityReached { what: Limit::Pairs, limit } => {
            format!("网关已满，最多为 {limit} 个实例提供公网 IP。请减少实例，或请运营方提高上限。")
        }
        Refusal::QuotaReached { limit, .. } => {
            format!("您的账号最多拥有 {limit} 个弹性公网 IP，已达上限。请先释放一个，或请运营方提高配额。")
        }
        Refusal::DayLimitReached { what: Daily::Applications, limit, until, .. } => {
            format!("您的账号今日已申请 {limit} 次弹性公网 IP，达到上限。请在 {until} 之后再试，或请运营方提高配额。")
        }
        Refusal::DayLimitReached { what: Daily::Reallocations, limit, until, .. } => {
            format!(
                "您的账号今日已重新分配 {limit} 次普通公网 IP，达到上限。请在 {until} 之后再试，或请运营方提高上限。"
            )
        }
        Refusal::TokenUsed { .. } => "此表单已用于另一个请求，请关闭后重新打开。".to_owned(),
        Refusal::TokenSpent { .. } => "此表单申请的资源已不存在，请关闭后重新打开。".to_owned(),
        // Of other commands than those behind the dialogs.
        Refusal::InstanceExists { .. }
        | Refusal::EipExists { .. }
        | Refusal::PrivateAddressTaken { .. }
        | Refusal::PrivateAddressUnusable { .. }
        | Refusal::PrivateAddressInPool { .. }
        | Refusal::NameTaken { .. }
        | Refusal::NotInPool { .. }
        | Refusal::AddressTaken { .. }
        | Refusal::Excluded { .. }
        | Refusal::CoolingDown { .. }
        | Refusal::CapacityReached { what: Limit::Instances, .. }
        | Refusal::Pair { .. }
        | Refusal::PublicAddressTwice { .. }
        | Refusal::PrivateAddressTwice { .. }
        | Refusal::NameTwice { .. }
        | Refusal::OrdinaryNeedsBandwidth { .. }
        | Refusal::UnknownMember { .. }
        | Refusal::PackageExists { .. }
        | Refusal::PackageInUse { .. }
        | Refusal::IsMember { .. }
        | Refusal::MemberElsewhere { .. }
        | Refusal::NoMember { .. }
        | Refusal::PrepaidStop { .. }
        | Refusal::NotPrepaid { .. }
        | Refusal::PeriodUnusable
        | Refusal::NoAddressToStart { .. }
        | Refusal::NoAddressToChange { .. }
        | Refusal::ReturnDenied { .. }
        | Refusal::ChangeDenied { .. }
        | Refusal::ReasonInvalid { .. }
        | Refusal::AlreadyFenced { .. }
        | Refusal::NotFenced { .. }
        | Refusal::UnknownPool { .. }
        | Refusal::PoolExists { .. }
        | Refusal::PoolRefused(_)
        | Refusal::PoolHoldsInstance { .. }
        | Refusal::PoolDraining { .. }
        | Refusal::PoolInUse { .. } => return None,
    })
}

/// What helps when no address is free.
fn remedy(next_free: Option<Time>) -> String {
    match next_free {
        Some(time) => format!("请等到 {time} 有地址可用，或请运营方扩充地址池。"),
        None => "请释放一个地址，或请运营方扩充地址池。".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_in_the_gateway_is_said_in_chinese_too() {
        let why = || "disk full".to_owned();
        for error in [
            GatewayError::NotStored(why()),
            GatewayError::ReadOnly(why()),
            GatewayError::NotInEffect(why()),
            GatewayError::Defect,
            GatewayError::Stopping,
        ] {
            let said = told(Language::Chinese, &error).unwrap_or_else(|| panic!("{error:?}"));
            assert!(said.chars().any(|c| ('一'..='龥').contains(&c)), "{error:?}: {said}");
            assert_eq!(told(Language::English, &error), None, "it says so itself");
        }
    }
}
