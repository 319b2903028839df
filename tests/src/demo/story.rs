//! The requirements as a story: instances come with public IPs or without, EIPs come, move and go, traffic follows.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use serde_json::{Value, json};

use super::evidence::opening;
use super::stage::{Stage, Told};
use crate::clients::{Client, Session, options};
use crate::lab::edges::{API, USER};
use crate::lab::instance::Eip;
use crate::lab::{A, B, C, INTERNET, Lab, Namespace, Process};

/// A host that serves a page, and the words by which the page is known.
const WEB: (&str, Ipv4Addr) = ("web", A);
const DATABASE: (&str, Ipv4Addr) = ("database", B);
const CLIENT: (&str, Ipv4Addr) = ("client", C);

/// How long to wait for an answer that must not come.
const SILENCE: &str = "1";

pub(super) struct Story<'a> {
    lab: &'a Lab,
    web: Option<Ipv4Addr>,
    client: Option<Ipv4Addr>,
    eip: Option<Eip>,
    /// As the API knows the instances.
    web_id: String,
    database_id: String,
    servers: Vec<Process>,
}

impl<'a> Story<'a> {
    pub(super) fn new(lab: &'a Lab) -> Self {
        Self {
            lab,
            web: None,
            client: None,
            eip: None,
            web_id: String::new(),
            database_id: String::new(),
            servers: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, stage: &mut Stage) {
        stage.step("The gateway serves, in native XDP mode", |told| self.serves(told));
        stage.step("A new instance with bandwidth gets a public IP, one without gets none", |told| self.create(told));
        stage.step("An instance sees only its private address", |told| self.addresses(told));
        stage.step("The Internet reaches a web server on the instance", |told| self.inbound(told));
        stage.step("The Internet sees the instance by its public address", |told| self.outbound(told));
        stage.step("An instance without a public address reaches nobody outside", |told| self.no_address(told));
        stage.step("Instances reach another and themselves by public address", |told| self.hairpin(told));
        stage.step("Binding an EIP releases the ordinary IP in the same moment", |told| self.bind(told));
        stage.step("Unbinding it brings a new ordinary IP, not the old one", |told| self.unbind(told));
        stage.step("Bound to another instance, its traffic follows", |told| self.rebind(told));
        stage.step("Killing and restarting the daemon stops no traffic", |told| self.restart(told));
        stage.step("With the instance gone its traffic stops and the EIP stays", |told| self.terminate_bound(told));
        stage.step("With the instance gone its ordinary IP goes back to the pool", |told| self.terminate(told));
        stage.step("No private address was shown outside, all the while", |told| self.leaks(told));
    }

    fn serves(&mut self, told: &mut Told<'_>) -> Result<()> {
        for interface in ["up0", "down0"] {
            told.did("gateway", &format!("ip link show {interface}"));
            let link = self.lab.gateway.tell(&["ip", "link", "show", interface])?;
            let program = link.lines().find(|line| line.contains("prog/xdp")).unwrap_or_default();
            told.saw(link.lines().next().unwrap_or_default());
            told.saw(program);
            ensure!(link.contains(" xdp ") && !link.contains("xdpgeneric"), "no native XDP program on {interface}");
        }
        self.eipgate(told, &["pool", "list"]).map(drop)
    }

    fn create(&mut self, told: &mut Told<'_>) -> Result<()> {
        let mut created = Vec::new();
        for ((name, private), bandwidth) in [(WEB, 5), (CLIENT, 5), (DATABASE, 0)] {
            let request = json!({
                "ImageId": "img-00000001",
                "InstanceName": name,
                "InternetAccessible": { "InternetMaxBandwidthOut": bandwidth },
                "VirtualPrivateCloud": { "VpcId": "vpc-default", "PrivateIpAddresses": [private] },
            });
            let made = self.tccli(told, "cvm", "RunInstances", &request)?;
            let id = made["InstanceIdSet"][0].as_str().context("there is no instance in the answer")?.to_owned();
            let public = self.public_of(told, &id)?;
            told.saw(format!("{name}: {id} at {private}, public {}", shown(public)));
            created.push((id, public));
        }
        let [(web, its), (_, of_client), (database, none)] = created.try_into().ok().context("three were asked for")?;
        (self.web, self.client) = (its, of_client);
        (self.web_id, self.database_id) = (web, database);
        ensure!(its.is_some() && of_client.is_some(), "bandwidth above 0 brought no public IP");
        ensure!(none.is_none(), "bandwidth 0 brought a public IP");
        Ok(())
    }

    fn addresses(&mut self, told: &mut Told<'_>) -> Result<()> {
        told.did("a", "ip -br -4 addr");
        let text = self.lab.a.tell(&["ip", "-br", "-4", "addr"])?;
        told.saw(&text);
        let shown: Vec<&str> = text.split_whitespace().filter(|word| word.contains('/')).collect();
        ensure!(shown == ["127.0.0.1/8", "10.0.0.11/24"], "other addresses than the private one: {shown:?}");
        Ok(())
    }

    fn inbound(&mut self, told: &mut Told<'_>) -> Result<()> {
        let public = self.web()?;
        self.serve(told, "a", "web on 10.0.0.11")?;
        self.serve(told, "b", "database on 10.0.0.12")?;
        self.reaches(told, public, "web on 10.0.0.11")
    }

    fn outbound(&mut self, told: &mut Told<'_>) -> Result<()> {
        let public = self.web()?;
        self.serve(told, "internet", "the Internet")?;
        let (inside, outside) = (self.lab.at_a.watch(), self.lab.at_internet.watch());
        let (page, _) = self.curl(told, "a", INTERNET)?;
        ensure!(page.contains("the Internet"), "another page: {page}");
        told.saw(opening(&inside, "at a       ", A, INTERNET)?);
        told.saw(opening(&outside, "at internet", public, INTERNET)?);
        let server = self.servers.last().context("the server on the Internet")?;
        let line = server.said().lines().find(|line| line.contains("GET /")).unwrap_or_default().to_owned();
        told.saw(format!("the server's log: {line}"));
        ensure!(line.starts_with(&public.to_string()), "the server saw another address than {public}");
        Ok(())
    }

    fn no_address(&mut self, told: &mut Told<'_>) -> Result<()> {
        let before = self.lab.verdicts("no-public-address")?;
        let outside = self.lab.at_router.watch();
        self.silent(told, "b", INTERNET)?;
        self.lab.settle()?;
        let dropped = self.lab.verdicts("no-public-address")? - before;
        told.saw(format!("the program dropped {dropped} packets as no-public-address"));
        outside.nothing("a packet of the instance", |frame| super::evidence::opens(frame, B, INTERNET))?;
        ensure!(dropped > 0, "no packet was dropped for this reason");
        Ok(())
    }

    fn hairpin(&mut self, told: &mut Told<'_>) -> Result<()> {
        let (web, client) = (self.web()?, self.client.context("the client has no public IP")?);
        let watch = self.lab.at_a.watch();
        let (page, _) = self.curl(told, "c", web)?;
        ensure!(page.contains("web on 10.0.0.11"), "another page: {page}");
        told.saw(opening(&watch, "at a", client, A)?);
        let watch = self.lab.at_a.watch();
        let (page, _) = self.curl(told, "a", web)?;
        ensure!(page.contains("web on 10.0.0.11"), "another page: {page}");
        told.saw(opening(&watch, "at a, leaving  ", A, web)?);
        told.saw(opening(&watch, "at a, returning", web, A)?);
        Ok(())
    }

    fn bind(&mut self, told: &mut Told<'_>) -> Result<()> {
        let ordinary = self.web()?;
        let made = self.tccli(told, "vpc", "AllocateAddresses", &json!({ "AddressCount": 1 }))?;
        let id = made["AddressSet"][0].as_str().context("there is no EIP in the answer")?.to_owned();
        let told_of = self.tccli(told, "vpc", "DescribeAddresses", &json!({ "AddressIds": [id] }))?;
        let address = told_of["AddressSet"][0]["AddressIp"].as_str().context("the EIP has no address")?.parse()?;
        told.saw(format!("{id} is {address}"));
        let eip = Eip { id, address };
        self.eip = Some(eip.clone());
        self.associate(told, &self.web_id)?;
        let public = self.public_of(told, &self.web_id)?;
        told.saw(format!("web: public {}, before {ordinary}", shown(public)));
        ensure!(public == Some(eip.address), "the instance's public address is not the EIP");
        self.reaches(told, eip.address, "web on 10.0.0.11")?;
        self.silent(told, "internet", ordinary)?;
        self.back_in_the_pool(told, ordinary)
    }

    fn unbind(&mut self, told: &mut Told<'_>) -> Result<()> {
        let (old, eip) = (self.web()?, self.eip()?);
        self.tccli(told, "vpc", "DisassociateAddress", &json!({ "AddressId": eip.id }))?;
        let new = self.public_of(told, &self.web_id)?.context("the instance has no public IP after unbinding")?;
        told.saw(format!("web: public {new}, before the EIP {old}"));
        ensure!(new != old && new != eip.address, "the old address came back");
        self.web = Some(new);
        self.reaches(told, new, "web on 10.0.0.11")?;
        self.silent(told, "internet", eip.address)
    }

    fn rebind(&mut self, told: &mut Told<'_>) -> Result<()> {
        let eip = self.eip()?;
        self.associate(told, &self.database_id)?;
        let watch = self.lab.at_b.watch();
        self.reaches_page(told, eip.address, "database on 10.0.0.12")?;
        told.saw(opening(&watch, "at b", INTERNET, B)?);
        Ok(())
    }

    fn restart(&mut self, told: &mut Told<'_>) -> Result<()> {
        let public = self.web()?.to_string();
        let pid = self.lab.daemon.pid().context("no daemon runs")?;
        let words = ["ping", "-i", "0.01", "-c", "200", "-W", "1", &public];
        told.did("internet", &words.join(" "));
        let ping = self.lab.internet.spawn(&words)?;
        ping.wait_to_say("icmp_seq=20 ", Duration::from_secs(5))?;
        told.did("gateway", &format!("kill -9 {pid}"));
        self.lab.daemon.kill()?;
        ping.wait_to_say("icmp_seq=60 ", Duration::from_secs(5))?;
        told.did("gateway", "eipgate run ...");
        self.lab.daemon.restart()?;
        let finished = ping.finish(Duration::from_secs(20))?;
        let summary = finished.stdout.lines().find(|line| line.contains("packet loss")).unwrap_or_default();
        told.saw(summary);
        ensure!(summary.contains(" 0% packet loss"), "packets were lost");
        Ok(())
    }

    fn terminate_bound(&mut self, told: &mut Told<'_>) -> Result<()> {
        let eip = self.eip()?;
        self.tccli(told, "cvm", "TerminateInstances", &json!({ "InstanceIds": [self.database_id] }))?;
        self.silent(told, "internet", eip.address)?;
        self.eipgate(told, &["eip", "list"])?;
        let told_of = self.tccli(told, "vpc", "DescribeAddresses", &json!({ "AddressIds": [eip.id] }))?;
        let shown = &told_of["AddressSet"][0];
        told.saw(format!("{}: {} {}", eip.id, shown["AddressIp"], shown["AddressStatus"]));
        ensure!(shown["AddressIp"] == eip.address.to_string(), "the EIP is gone");
        ensure!(shown["AddressStatus"] == "UNBIND", "the EIP is still bound");
        Ok(())
    }

    fn terminate(&mut self, told: &mut Told<'_>) -> Result<()> {
        let ordinary = self.web()?;
        self.tccli(told, "cvm", "TerminateInstances", &json!({ "InstanceIds": [self.web_id] }))?;
        self.silent(told, "internet", ordinary)?;
        self.back_in_the_pool(told, ordinary)
    }

    fn leaks(&mut self, told: &mut Told<'_>) -> Result<()> {
        self.servers.clear();
        self.lab.settle()?;
        let [internet, router] = self.lab.looked_at();
        told.saw(format!(
            "the router looked at {} packets from the gateway, missed {}",
            router.received, router.missed
        ));
        told.saw(format!("the Internet host looked at {} packets, missed {}", internet.received, internet.missed));
        let leaks = self.lab.leaks();
        told.saw(format!("{} with a private address or a wrong checksum", leaks.len()));
        match leaks.first() {
            Some(leak) => bail!("{leak}"),
            None => Ok(()),
        }
    }

    // ---- what the steps are made of ----

    fn web(&self) -> Result<Ipv4Addr> {
        self.web.context("web has no public IP, since an earlier step failed")
    }

    fn eip(&self) -> Result<Eip> {
        self.eip.clone().context("there is no EIP, since an earlier step failed")
    }

    fn host(&self, name: &str) -> &'a Namespace {
        match name {
            "a" => &self.lab.a,
            "b" => &self.lab.b,
            "c" => &self.lab.c,
            _ => &self.lab.internet,
        }
    }

    /// Runs a command of eipgate and shows what it prints.
    fn eipgate(&self, told: &mut Told<'_>, words: &[&str]) -> Result<String> {
        told.did("gateway", &format!("eipgate {}", words.join(" ")));
        let said = self.lab.daemon.tell(words)?;
        told.saw(&said);
        Ok(said)
    }

    /// Makes a call of the cloud's API by the cloud's own command line, and shows the answer where it is short.
    fn tccli(&self, told: &mut Told<'_>, service: &str, action: &str, request: &Value) -> Result<Value> {
        const SHORT: usize = 160;
        let words =
            options(request).into_iter().map(|word| if word.contains('"') { format!("'{word}'") } else { word });
        let words: Vec<String> = words.collect();
        told.did("gateway", &format!("tccli {service} {action} {} --endpoint http://{API}", words.join(" ")));
        let answer =
            Session { lab: self.lab, client: Client::Tccli, who: USER }.call(service, action, request.clone())?;
        ensure!(answer["Code"].is_null(), "{action} was refused: {answer}");
        let said = answer.to_string();
        if said.len() <= SHORT {
            told.saw(said);
        }
        Ok(answer)
    }

    /// The public address of an instance, as DescribeInstances tells it.
    fn public_of(&self, told: &mut Told<'_>, instance: &str) -> Result<Option<Ipv4Addr>> {
        let answer = self.tccli(told, "cvm", "DescribeInstances", &json!({ "InstanceIds": [instance] }))?;
        let addresses = &answer["InstanceSet"][0]["PublicIpAddresses"];
        told.saw(format!("PublicIpAddresses: {addresses}"));
        addresses[0].as_str().map(|address| Ok(address.parse()?)).transpose()
    }

    fn associate(&self, told: &mut Told<'_>, instance: &str) -> Result<()> {
        let request = json!({ "AddressId": self.eip()?.id, "InstanceId": instance });
        self.tccli(told, "vpc", "AssociateAddress", &request).map(drop)
    }

    /// Starts a web server on a host.
    fn serve(&mut self, told: &mut Told<'_>, host: &str, page: &str) -> Result<()> {
        let directory = self.lab.directory.join(format!("page-{host}"));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("index.html"), format!("{page}\n"))?;
        told.did(host, "python3 -m http.server 80");
        let directory = directory.display().to_string();
        let server = self.host(host).spawn(&["python3", "-um", "http.server", "80", "--directory", &directory])?;
        self.host(host).wait_for_listener(80).with_context(|| server.said())?;
        self.servers.push(server);
        Ok(())
    }

    /// Fetches a page; also returns whom curl was connected to.
    fn curl(&self, told: &mut Told<'_>, host: &str, to: Ipv4Addr) -> Result<(String, String)> {
        let url = format!("http://{to}/");
        told.did(host, &format!("curl {url}"));
        let words = ["curl", "-sS", "--max-time", "5", "-w", "HTTP %{http_code} from %{remote_ip}", &url];
        let said = self.host(host).tell(&words)?;
        let (page, status) = said.rsplit_once('\n').unwrap_or(("", &said));
        told.saw(format!("{status}: {page}"));
        ensure!(status.starts_with("HTTP 200"), "not found");
        Ok((page.to_owned(), status.to_owned()))
    }

    /// The Internet fetches the page of `web`, seen on both sides of the gateway.
    fn reaches(&self, told: &mut Told<'_>, public: Ipv4Addr, page: &str) -> Result<()> {
        let (outside, inside) = (self.lab.at_internet.watch(), self.lab.at_a.watch());
        self.reaches_page(told, public, page)?;
        told.saw(opening(&outside, "at internet", INTERNET, public)?);
        told.saw(opening(&inside, "at a       ", INTERNET, A)?);
        Ok(())
    }

    fn reaches_page(&self, told: &mut Told<'_>, public: Ipv4Addr, page: &str) -> Result<()> {
        let (found, _) = self.curl(told, "internet", public)?;
        ensure!(found.contains(page), "another page than `{page}`: {found}");
        Ok(())
    }

    /// Nobody answers there.
    fn silent(&self, told: &mut Told<'_>, host: &str, to: Ipv4Addr) -> Result<()> {
        const TIMED_OUT: i32 = 28;
        const REFUSED: i32 = 7;
        let url = format!("http://{to}/");
        told.did(host, &format!("curl --max-time {SILENCE} {url}"));
        let finished =
            self.host(host).output(&["curl", "-sS", "--max-time", SILENCE, &url], Duration::from_secs(10))?;
        told.saw(format!("{} (curl ended with {})", finished.stderr.trim(), finished.code()));
        ensure!(matches!(finished.code(), TIMED_OUT | REFUSED), "somebody answers at {to}: {}", finished.stdout);
        Ok(())
    }

    /// An address is back in the pool: it rests there, and is not to be had until it has.
    fn back_in_the_pool(&self, told: &mut Told<'_>, address: Ipv4Addr) -> Result<()> {
        const CONFLICT: i32 = 4;
        self.eipgate(told, &["pool", "list"])?;
        told.did("gateway", &format!("eipgate eip allocate --address {address}"));
        let refused = self.lab.daemon.cli(&["eip", "allocate", "--address", &address.to_string()])?;
        told.saw(format!("{} (ended with {})", refused.stderr.trim(), refused.code()));
        ensure!(refused.code() == CONFLICT, "an address that has just been given up was handed out");
        Ok(())
    }
}

fn shown(address: Option<Ipv4Addr>) -> String {
    address.map_or("none".into(), |address| address.to_string())
}
