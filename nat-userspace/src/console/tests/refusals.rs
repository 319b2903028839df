//! What a dialog can be refused with, on a Chinese page.

use super::*;
use crate::address::{
    ChargeType, EipChanges, Member, Naming, NewInstance, Package, PackageId, Reallocate, StopMode, VpcId,
};
use crate::config::OnBindChoice;

/// Somebody who prefers Chinese and whose browser runs the script.
struct Reader<'a> {
    client: Client<'a>,
    csrf: String,
}

impl Reader<'_> {
    async fn enter(visit: &Visit) -> Reader<'_> {
        let mut client = visit.enter("AKIDwriter").await;
        let csrf = client.get("/instances").await.hidden("csrf");
        client.more = "Accept-Language: zh-CN\r\nX-Fragment: 1\r\n".into();
        Reader { client, csrf }
    }

    async fn send(&self, deed: &str, fields: &[(&str, &str)]) -> Reply {
        let fields = [&[("csrf", self.csrf.as_str())], fields].concat();
        self.client.post(&format!("/do/{deed}"), &fields).await
    }

    /// The form is refused with a sentence that says so, and that is Chinese.
    async fn is_refused(&self, deed: &str, fields: &[(&str, &str)], words: &str) {
        let reply = self.send(deed, fields).await;
        let alert = reply.body.split_once("role=\"alert\"").and_then(|(_, rest)| rest.split_once("</div>"));
        let (alert, _) = alert.unwrap_or_else(|| panic!("{deed} {fields:?} is not refused: {}", reply.body));
        assert!(alert.contains("操作未完成：") && !alert.contains("lang=\"en\""), "{deed} {fields:?}: {alert}");
        assert!(alert.contains(words), "{deed} {fields:?}: {alert}");
    }
}

impl Visit {
    /// An instance of acme's, called `ins-` and this.
    async fn instance(&self, name: &str, last: u8, bandwidth_mbps: u32) {
        let id = format!("ins-{name}").parse().unwrap();
        let new = NewInstance::new(id, acme(), "vpc-default".parse().unwrap(), [10, 0, 0, last].into());
        self.perform(Command::CreateInstance(NewInstance { bandwidth_mbps, ..new })).await;
    }

    async fn eip(&self, id: &str) {
        self.perform(Command::AllocateEip(NewEip::new(id.parse().unwrap(), acme()))).await;
    }

    async fn bind(&self, eip: &str, instance: &str) {
        let (eip, instance) = (eip.parse().unwrap(), instance.parse().unwrap());
        self.perform(Command::BindEip { account: acme(), eip, instance }).await;
    }

    async fn modify(&self, eip: &str, changes: EipChanges) {
        self.perform(Command::ModifyEip { account: acme(), eip: eip.parse().unwrap(), changes }).await;
    }

    async fn stop(&self, instance: &str) {
        let (instance, mode) = (instance.parse().unwrap(), StopMode::StopCharging);
        self.perform(Command::StopInstance { account: acme(), instance, mode }).await;
    }

    async fn release(&self, eip: &str) {
        self.perform(Command::ReleaseEip { account: acme(), eip: eip.parse().unwrap() }).await;
    }
}

fn acme() -> crate::address::AccountId {
    "acme".parse().unwrap()
}

#[tokio::test]
async fn what_a_dialog_is_refused_is_said_in_the_pages_language() {
    let other_vpc = |config: &mut Config| config.downlinks.push("eth2=vpc-b".parse().unwrap());
    during_with(other_vpc, async |visit| {
        let vpc: VpcId = "vpc-b".parse().unwrap();
        let twin = NewInstance::new("ins-twin".parse().unwrap(), acme(), vpc, [10, 0, 0, 1].into());
        let (name, naming) = (Some("web".to_owned()), Naming::Shared);
        visit.perform(Command::CreateInstance(NewInstance { name, naming, bandwidth_mbps: 0, ..twin })).await;
        for (name, last, bandwidth_mbps) in [("bound", 5, 0), ("off", 6, 0), ("paid", 7, 5)] {
            visit.instance(name, last, bandwidth_mbps).await;
        }
        for id in ["eip-bound", "eip-off", "eip-blocked", "eip-unpaid", "eip-shared"] {
            visit.eip(id).await;
        }
        visit.bind("eip-bound", "ins-bound").await;
        visit.bind("eip-off", "ins-paid").await;
        visit.stop("ins-off").await;
        visit.stop("ins-paid").await;
        visit.modify("eip-blocked", EipChanges { blocked: Some(true), ..EipChanges::default() }).await;
        visit.modify("eip-unpaid", EipChanges { arrears: Some(true), ..EipChanges::default() }).await;
        let package: PackageId = "bwp-one".parse().unwrap();
        let new = Package {
            id: package.clone(),
            account: acme(),
            name: None,
            bandwidth_mbps: None,
            created: Time(0),
            detail: None,
        };
        visit.perform(Command::CreatePackage(new)).await;
        let member = Member::Eip("eip-shared".parse().unwrap());
        visit.perform(Command::AddMember { account: acme(), package, member }).await;

        let reader = Reader::enter(visit).await;
        let hourly = ChargeType::BandwidthPostpaidByHour.as_str();
        let bind = |eip, instance| [("of", "eip"), ("eip", eip), ("instance", instance)];
        for (eip, instance, words) in [
            ("eip-one", "nobody", "没有实例“nobody”"),
            ("eip-none", "ins-spare", "没有弹性公网 IP“eip-none”"),
            ("eip-one", "web", "多个实例名为“web”"),
            ("eip-one", "10.0.0.1", "多个 VPC（例如 vpc-b 和 vpc-default）"),
            ("8.8.8.0", "ins-spare", "8.8.8.0 是实例 ins-web 的普通公网 IP"),
            ("eip-bound", "ins-bound", "已绑定到该实例 ins-bound"),
            ("eip-bound", "ins-spare", "eip-bound 已绑定到实例 ins-bound，请先解绑"),
            ("eip-one", "ins-bound", "已绑定弹性公网 IP eip-bound"),
            ("eip-blocked", "ins-spare", "eip-blocked 已被封堵"),
            ("eip-unpaid", "ins-spare", "eip-unpaid 已欠费"),
            ("eip-one", "ins-off", "当前状态为“关机不收费”，不能进行此操作。请先启动实例。"),
        ] {
            reader.is_refused("bind", &bind(eip, instance), words).await;
        }
        let unbind = |eip| [("eip", eip), ("reallocate", "yes")];
        for (eip, words) in [
            ("eip-one", "eip-one 未绑定任何实例"),
            ("eip-bound", "实例 ins-bound 自身没有公网带宽"),
            ("eip-off", "请先启动实例"),
        ] {
            reader.is_refused("unbind", &unbind(eip), words).await;
        }
        reader.is_refused("release", &[("eip", "eip-bound")], "不能释放，请先解绑").await;
        reader.is_refused("convert", &[("instance", "ins-spare")], "实例 ins-spare 没有普通公网 IP").await;
        let rename = [("eip", "eip-one"), ("name", "a\u{1}b")];
        reader.is_refused("rename", &rename, "不能用作名称").await;
        let rename = [("of", "instance"), ("instance", "ins-web"), ("name", "ins-web")];
        reader.is_refused("rename", &rename, "“ins-web”不能用作名称").await;
        let bandwidth = |eip, mbps| [("of", "eip"), ("eip", eip), ("bandwidth", mbps), ("charge", hourly)];
        reader.is_refused("bandwidth", &bandwidth("eip-one", "0"), "带宽不能为 0，请至少填写 1 Mbit/s").await;
        reader.is_refused("bandwidth", &bandwidth("eip-shared", "5"), "已加入带宽包 bwp-one").await;
        let nothing = [("of", "instance"), ("instance", "ins-web"), ("bandwidth", "0")];
        reader.is_refused("bandwidth", &nothing, "ins-web 有普通公网 IP 8.8.8.0，带宽不能为 0").await;
        let allocate = |token, mbps| [("token", token), ("bandwidth", mbps)];
        let strange = [("bandwidth", "1"), ("charge", "package:bwp-none")];
        reader.is_refused("allocate", &strange, "没有带宽包“bwp-none”").await;
        assert_eq!(reader.send("allocate", &allocate("t-1", "1")).await.status, 204);
        reader.is_refused("allocate", &allocate("t-1", "2"), "此表单已用于另一个请求").await;
        let account = acme();
        let made = visit.handle.ask(move |operations| {
            let made = operations.ledger().made_with(&account, &"t-1".parse().unwrap());
            made.unwrap().eips()[0].to_string()
        });
        visit.release(&made.await.unwrap()).await;
        reader.is_refused("allocate", &allocate("t-1", "1"), "此表单申请的资源已不存在").await;
        // A form that is asked for of what is not there.
        let form = reader.client.get("/do/unbind?eip=eip-none").await.body;
        assert!(form.contains("没有弹性公网 IP“eip-none”") && !form.contains("lang=\"en\""), "{form}");
    })
    .await;
}

#[tokio::test]
async fn what_an_account_has_used_up_is_said_in_the_pages_language() {
    let one = |config: &mut Config| {
        (config.eips_per_account, config.ordinary_ip_on_bind) = (1, OnBindChoice::Refuse);
        config.max_pairs = 2;
    };
    during_with(one, async |visit| {
        let reader = Reader::enter(visit).await;
        let bind = |instance| [("of", "eip"), ("eip", "eip-one"), ("instance", instance)];
        reader.is_refused("bind", &bind("ins-web"), "ins-web 有普通公网 IP 8.8.8.0，须先退还").await;
        reader.is_refused("bind", &bind("ins-spare"), "网关已满，最多为 2 个实例提供公网 IP").await;
        reader.is_refused("convert", &[("instance", "ins-web")], "最多拥有 1 个弹性公网 IP").await;
        reader.is_refused("allocate", &[("bandwidth", "1")], "最多拥有 1 个弹性公网 IP").await;
        visit.release("eip-one").await;
        visit.eip("eip-two").await;
        visit.release("eip-two").await;
        reader.is_refused("allocate", &[("bandwidth", "1")], "今日已申请 2 次弹性公网 IP").await;
    })
    .await;
}

#[tokio::test]
async fn an_exhausted_pool_is_said_to_be_so_in_the_pages_language() {
    let small = |config: &mut Config| config.pools = vec!["8.8.8.0/30".parse().unwrap()];
    during_with(small, async |visit| {
        let reader = Reader::enter(visit).await;
        let allocate = [("bandwidth", "1")];
        reader.is_refused("allocate", &allocate, "地址池中没有可用的公网 IP。请释放一个地址").await;
        visit.bind("eip-one", "ins-web").await;
        reader.is_refused("allocate", &allocate, "请等到 2026-11-20T").await;
        let unbind = [("eip", "eip-one"), ("reallocate", "yes")];
        reader.is_refused("unbind", &unbind, "没有可分配给实例 ins-web 的普通公网 IP，eip-one 仍保持绑定").await;
    })
    .await;
    let once = |config: &mut Config| config.reallocations_per_day = 1;
    during_with(once, async |visit| {
        let reader = Reader::enter(visit).await;
        visit.bind("eip-one", "ins-web").await;
        let (account, eip) = (acme(), "eip-one".parse().unwrap());
        visit.perform(Command::UnbindEip { account, eip, reallocate: Reallocate::Yes }).await;
        visit.bind("eip-one", "ins-web").await;
        let unbind = [("eip", "eip-one"), ("reallocate", "yes")];
        reader.is_refused("unbind", &unbind, "今日已重新分配 1 次普通公网 IP").await;
    })
    .await;
}
