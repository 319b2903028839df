//! Every word and sentence of the page, in English and Chinese. What the gateway refuses is told in `deeds/refused`.

macro_rules! words {
    ($($word:ident: $english:literal, $chinese:literal;)*) => {
        /// A word or a sentence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::console) enum Word {
            $($word,)*
        }

        impl Word {
            /// All of them.
            #[cfg(test)]
            pub(in crate::console) const ALL: &'static [Word] = &[$(Word::$word,)*];

            /// It in English and in Chinese.
            pub(super) fn texts(self) -> [&'static str; 2] {
                match self { $(Word::$word => [$english, $chinese],)* }
            }
        }
    };
}

words! {
    // The frame.
    SkipToContent: "Skip to content", "跳到正文";
    MainNavigation: "Main", "主导航";
    Instances: "Instances", "实例";
    PublicIps: "Public IPs", "公网 IP";
    Account: "Account", "账号";
    ReadOnly: "Read-only", "只读";
    ReadOnlyExplained: "This credential may look at everything of its account and change nothing.", "此密钥可以查看本账号的所有资源，但不能修改。";
    LogOut: "Log out", "退出登录";
    Close: "Close", "关闭";
    Cancel: "Cancel", "取消";
    Loading: "Loading…", "正在加载…";
    Working: "Working…", "正在处理…";
    Unreachable: "The gateway does not answer. What is shown may be out of date; asking again…", "网关没有响应，所显示的内容可能已过时，正在重试…";
    NoAnswer: "The gateway does not answer. Try again in a moment.", "网关没有响应，请稍后重试。";
    OutcomeUnknown: "The gateway did not answer. Look whether it was done before you try again.", "网关没有响应。重试前请先确认该操作是否已完成。";
    SessionOver: "Your session has ended. Log in again.", "会话已结束，请重新登录。";

    // Log-in.
    LogIn: "Log in", "登录";
    LogInExplained: "With an API credential of your account. It stays between your browser and this gateway.", "使用您账号的 API 密钥登录，密钥仅在浏览器与本网关之间传输。";
    SecretId: "Secret ID", "密钥 ID（SecretId）";
    SecretKey: "Secret key", "密钥（SecretKey）";
    WrongCredential: "No credential has this secret ID and key. Check both and try again.", "密钥 ID 或密钥不正确，请检查后重试。";
    TooManyAttempts: "Too many attempts. Wait a minute and try again.", "尝试次数过多，请一分钟后再试。";
    LoggedOut: "You are logged out.", "您已退出登录。";

    // What lists share.
    Search: "Search", "搜索";
    SearchInstances: "Search by ID, name, public or private IP", "按 ID、名称、公网 IP 或内网 IP 搜索";
    SearchAddresses: "Search by ID, name, address or bound instance", "按 ID、名称、IP 地址或绑定的实例搜索";
    SearchHint: "A beginning is enough, such as 203.0.113.", "输入开头部分即可，例如 203.0.113.";
    Show: "Show", "显示";
    ShowAll: "All", "全部";
    ShowWithEip: "With an EIP", "已绑定 EIP";
    ShowWithOrdinary: "With an ordinary public IP", "有普通公网 IP";
    ShowWithout: "Without a public IP", "无公网 IP";
    ClearSearch: "Clear search", "清除搜索";
    NothingMatches: "Nothing matches", "没有匹配的结果";
    NothingMatchesExplained: "Another beginning, or the whole list, may have it.", "请尝试其他关键字，或查看完整列表。";
    NotAllLookedAt: "Not everything was looked at yet; the next page goes on from here.", "尚未查找全部内容，下一页将继续查找。";
    Previous: "Previous", "上一页";
    Next: "Next", "下一页";
    FirstPage: "First page", "首页";
    Pages: "Pages", "分页";
    CountInstances: "{0} instances", "共 {0} 个实例";
    CountOneInstance: "1 instance", "共 1 个实例";

    // Columns and what is in them.
    IdAndName: "ID / name", "ID / 名称";
    State: "State", "状态";
    PrimaryIpv4: "Primary IPv4", "主 IPv4 地址";
    Public: "public", "公";
    Private: "private", "内";
    Bandwidth: "Bandwidth", "带宽";
    ChargeType: "Charge type", "计费模式";
    Traffic: "Traffic", "流量";
    Actions: "Actions", "操作";
    NoPublicIp: "no public IP", "无公网 IP";
    Unnamed: "unnamed", "未命名";
    Mbps: "{0} Mbit/s", "{0} Mbit/s";
    Vpc: "VPC", "VPC";
    None: "none", "无";
    Copy: "Copy {0}", "复制 {0}";
    Copied: "Copied", "已复制";
    NotCopied: "The browser did not let it be copied", "浏览器不允许复制";
    Pending: "Pending", "创建中";
    Running: "Running", "运行中";
    Stopped: "Stopped", "已关机";
    StoppedFree: "Stopped without charge", "关机不收费";
    Shutdown: "In the recycle bin", "回收站";
    Eip: "EIP", "弹性公网 IP";
    Ordinary: "Ordinary", "普通公网 IP";
    Fenced: "Out of service", "已停用";
    FencedExplained: "The operator has taken this address out of service: nothing goes through it.", "运营方已停用此地址，流量不再通过。";
    ByBandwidth: "By bandwidth, hourly", "按带宽（小时）";
    ByTraffic: "By traffic", "按流量";
    ByMonth: "By month of bandwidth", "按带宽包年包月";
    ByPackage: "Bandwidth package", "共享带宽包";
    InPackage: "Package {0}", "带宽包 {0}";

    // No instances, no addresses.
    NoInstances: "No instances yet", "还没有实例";
    NoInstancesExplained: "Instances are made through the API (RunInstances) or with eipgate instance create. They appear here at once.", "通过 API（RunInstances）或 eipgate instance create 创建的实例会立即显示在这里。";
    NoEips: "No EIPs yet", "还没有弹性公网 IP";
    NoEipsExplained: "An EIP is yours until you release it, and serves one instance at a time.", "弹性公网 IP 在释放之前一直归您所有，同一时间服务一个实例。";
    NoOrdinary: "No ordinary public IPs", "没有普通公网 IP";
    NoOrdinaryExplained: "An instance made with public bandwidth gets one. It lives and dies with its instance.", "创建时带有公网带宽的实例会分配一个普通公网 IP，其生命周期与实例相同。";

    // Public IPs.
    Eips: "EIPs", "弹性公网 IP";
    OrdinaryIps: "Ordinary public IPs", "普通公网 IP";
    Kind: "Type", "类型";
    Address: "Address", "地址";
    BoundTo: "Bound resource", "绑定资源";
    IsBound: "Bound", "已绑定";
    IsUnbound: "Not bound", "未绑定";
    Assigned: "Assigned", "已分配";
    Blocked: "Blocked", "已封堵";
    BlockedExplained: "Under attack and blackholed: it cannot be bound.", "遭受攻击被封堵，不能绑定。";
    Arrears: "In arrears", "欠费";
    ArrearsExplained: "Not paid for: it cannot be bound.", "欠费期间不能绑定。";
    QuotaUsed: "{0} of {1} EIPs used; {2} of {3} applications today", "EIP 配额：已用 {0} / {1}；今日申请 {2} / {3}";
    CountEips: "{0} EIPs", "共 {0} 个弹性公网 IP";

    // One instance or EIP.
    Parameters: "Parameters", "参数";
    Monitoring: "Monitoring", "监控";
    Health: "Health check", "健康检查";
    SecurityGroup: "Security group", "安全组";
    OperationLog: "Operation log", "操作日志";
    Name: "Name", "名称";
    Id: "ID", "ID 编号";
    PublicIpv4: "Public IPv4", "公网 IPv4";
    PrivateIpv4: "Private IPv4", "内网 IPv4";
    PublicKind: "Type of public IP", "公网 IP 类型";
    InstanceBandwidth: "Instance's own bandwidth", "实例自身带宽";
    Billing: "Instance billing", "实例计费";
    Postpaid: "By the hour, afterwards", "按量计费";
    Prepaid: "Prepaid until {0}", "包年包月，到期时间 {0}";
    Created: "Created", "创建时间";
    Since: "In this state since", "当前状态开始时间";
    Remembered: "As told by way of the API", "通过 API 设置的信息";
    Zone: "Zone", "可用区";
    InstanceType: "Instance type", "实例规格";
    Image: "Image", "镜像";
    Subnet: "Subnet", "子网";
    HostName: "Host name", "主机名";
    Tags: "Tags", "标签";
    LatestOperation: "Latest operation (request)", "最近操作（请求 ID）";
    NotFound: "Not found", "未找到";
    NoSuchPage: "There is no such page.", "没有这个页面。";
    NoSuchInstance: "Your account has no instance {0}.", "您的账号下没有实例 {0}。";
    NoSuchEip: "Your account has no EIP {0}.", "您的账号下没有弹性公网 IP {0}。";
    BackToList: "Back to the list", "返回列表";

    // Monitoring.
    LastMinutes: "The last two minutes, once a second, counted by the packet path. Inbound is towards the instance.", "最近两分钟，每秒一次，由数据通路统计。入方向指流向实例。";
    BandwidthPlot: "Bandwidth", "带宽";
    PacketsPlot: "Packets", "包量";
    Inbound: "In", "入";
    Outbound: "Out", "出";
    SinceBound: "Since the address was bound", "自地址绑定以来";
    Packets: "Packets", "包数";
    Bytes: "Bytes", "字节数";
    NothingToMeasure: "Without a public IP there is nothing to measure.", "没有公网 IP，无可监控的流量。";
    NotCounted: "This gateway does not count the traffic of addresses (counters = false).", "本网关未开启地址流量统计（counters = false）。";
    TrafficOf: "Traffic of {0}, last minute", "{0} 最近一分钟的流量";
    Peak: "Peak", "峰值";

    // Health check.
    HealthExplained: "What this gateway knows of the way to the instance. It sends the instance no probes, so whether a service in it answers is not known here.", "以下为网关所掌握的通往实例的链路信息。网关不会向实例发送探测，因此无法得知实例内的服务是否正常。";
    CheckState: "Instance is running, as far as commands have said", "根据已执行的命令，实例正在运行";
    CheckPublic: "Has a public address", "有公网地址";
    CheckService: "Address is in service, not fenced", "地址正常服务，未被停用";
    CheckUplinks: "Packet program is on every uplink", "数据包程序已加载到所有上行链路";
    CheckDownlink: "Packet program is on the downlink of VPC {0}", "数据包程序已加载到 VPC {0} 的下行链路";
    CheckMaps: "Packet path agrees with what was stored", "数据通路与存储一致";
    CheckIn: "Packets from the Internet have come for it", "已收到来自互联网的数据包";
    CheckOut: "Packets from the instance have gone out", "实例已发出数据包";
    Yes: "Yes", "是";
    No: "No", "否";
    Unknown: "Not known", "未知";

    // Security group.
    SecurityExplained: "This gateway has no security groups. It translates every protocol and port one-to-one between the public and the private address and filters nothing by port; filter in the VPC or on the instance.", "本网关没有安全组。网关在公网地址与内网地址之间对所有协议和端口做一对一转换，不按端口过滤；请在 VPC 或实例上设置过滤规则。";
    SecurityNamed: "Named for it by way of the API, recorded and without effect here: {0}", "通过 API 指定的安全组（仅记录，在此不生效）：{0}";
    SecurityAlways: "What it always drops", "始终丢弃的流量";
    SecuritySpoofed: "Packets from the instance with another source than its own address", "源地址不是实例自身地址的出方向数据包";
    SecurityMartian: "Packets from the Internet with a private, loopback, multicast or pool source", "来自互联网、源地址为私有、环回、组播或地址池的数据包";
    SecurityUnbound: "Packets for an address that is bound to nothing or out of service", "目的地址未绑定或已停用的数据包";
    SecurityPrivate: "Packets between private addresses through the gateway", "经网关在内网地址之间传递的数据包";

    // Operation log.
    When: "When (UTC)", "时间（UTC）";
    What: "What", "操作";
    Detail: "Detail", "详情";
    Revision: "Revision", "修订号";
    NoHistory: "Nothing is recorded", "没有记录";
    NoHistoryExplained: "Nothing has happened to it since the history began.", "自历史记录开始以来没有任何变更。";
    LatestOnly: "The latest {0}; eipgate history knows them all.", "最近 {0} 条；完整记录请使用 eipgate history。";
    InstanceCreated: "Instance created", "实例创建";
    InstanceTerminated: "Instance terminated", "实例销毁";
    InstanceMoved: "Instance changed state", "实例状态变更";
    InstanceRenewed: "Instance renewed", "实例续费";
    InstanceChanged: "Instance's terms changed", "实例网络配置变更";
    OrdinaryAssigned: "Ordinary public IP assigned", "分配普通公网 IP";
    OrdinaryReleased: "Ordinary public IP released", "释放普通公网 IP";
    EipAllocated: "EIP allocated", "申请弹性公网 IP";
    EipBound: "EIP bound", "绑定弹性公网 IP";
    EipUnbound: "EIP unbound", "解绑弹性公网 IP";
    EipReleased: "EIP released", "释放弹性公网 IP";
    Imported: "Imported from another gateway", "从其他网关导入";
    Converted: "Ordinary public IP converted to EIP", "普通公网 IP 转为弹性公网 IP";
    EipChanged: "EIP's terms changed", "弹性公网 IP 配置变更";
    Recorded: "Held when the history began", "历史记录开始时已持有";
    AddressFenced: "Address taken out of service", "地址停用";
    AddressUnfenced: "Address back in service", "地址恢复服务";
    OtherEvent: "Other", "其他";

    // What can be done.
    Allocate: "Allocate EIP", "申请弹性公网 IP";
    Bind: "Bind", "绑定";
    BindEip: "Bind EIP", "绑定弹性公网 IP";
    Unbind: "Unbind", "解绑";
    UnbindEip: "Unbind EIP", "解绑弹性公网 IP";
    Release: "Release", "释放";
    ReleaseEip: "Release EIP", "释放弹性公网 IP";
    Convert: "Convert to EIP", "转为弹性公网 IP";
    AdjustBandwidth: "Adjust bandwidth", "调整带宽";
    Rename: "Rename", "重命名";
    Save: "Save", "保存";
    Optional: "optional", "选填";
    BandwidthMbps: "Bandwidth in Mbit/s", "带宽（Mbit/s）";
    BandwidthOnlyRecorded: "Recorded and shown; this version does not enforce it yet.", "带宽会被记录并显示，当前版本尚不限速。";
    BandwidthOfPackage: "It shares package {0}, whose total counts.", "已加入带宽包 {0}，以带宽包总带宽为准。";
    AllocateExplained: "The pool gives your account an address that stays yours until you release it.", "地址池将分配一个地址给您的账号，在释放之前一直归您所有。";
    WhichInstance: "Instance", "实例";
    WhichInstanceHint: "ID, name or private IP", "ID、名称或内网 IP";
    WhichEip: "EIP", "弹性公网 IP";
    WhichEipHint: "ID or address of an EIP that is not bound", "未绑定的弹性公网 IP 的 ID 或地址";
    BindExplained: "In effect with the next packet. An ordinary public IP of the instance goes back to the pool in the same moment, and the instance will not get it again.", "对下一个数据包立即生效。实例的普通公网 IP 将同时归还地址池，且无法找回。";
    BindAtOnce: "In effect with the next packet.", "对下一个数据包立即生效。";
    BindLoses: "Instance {0} gives up its ordinary public IP {1} for good.", "实例 {0} 将永久失去普通公网 IP {1}。";
    UnbindExplained: "{0} stops serving {1} with the next packet. The EIP stays yours.", "{0} 将立即停止为 {1} 提供服务，该弹性公网 IP 仍归您所有。";
    Reallocate: "Assign a new ordinary public IP to the instance", "为实例重新分配普通公网 IP";
    ReallocateExplained: "Another address than any it had last, free of charge. Without it the instance cannot reach the Internet.", "将分配一个新的地址（不是之前的地址），免费。若不分配，实例将无法访问互联网。";
    ReallocateImpossible: "The instance has no bandwidth of its own, so it can have no ordinary public IP.", "实例自身没有公网带宽，无法分配普通公网 IP。";
    ReleaseExplained: "{0} goes back to the pool and rests; later it may be anybody's. You cannot get it back.", "{0} 将归还地址池，经过冷却期后可能分配给他人，无法找回。";
    ConvertExplained: "{0} becomes an EIP of your account and stays bound to {1}. No packet notices. There is no way back.", "{0} 将成为您账号的弹性公网 IP，并继续绑定 {1}，流量不受影响。此操作不可撤销。";
    Refused: "Not done:", "操作未完成：";
    NothingChosen: "Fill in every field that is not optional.", "请填写所有必填项。";
    NoNumber: "Give the bandwidth as a whole number.", "请以整数填写带宽。";
    MayNotChange: "A read-only credential cannot change anything.", "只读密钥不能修改任何资源。";
    Stale: "This form is out of date. Reload the page and try again.", "表单已过期，请刷新页面后重试。";
    TryAgain: "Try again", "重试";

    // What was done.
    Allocated: "{0} ({1}) is yours.", "{0}（{1}）已归您所有。";
    Bound: "{0} serves {1} now.", "{0} 现在为 {1} 提供服务。";
    BoundReleasing: "{0} serves {1} now; its ordinary public IP {2} went back to the pool.", "{0} 现在为 {1} 提供服务，其普通公网 IP {2} 已归还地址池。";
    Unbound: "{0} is unbound; {1} has no public IP now.", "{0} 已解绑，{1} 现在没有公网 IP。";
    UnboundAssigning: "{0} is unbound; {1} has the new ordinary public IP {2}.", "{0} 已解绑，{1} 获得新的普通公网 IP {2}。";
    Released: "{0} is released and rests until {1}.", "{0} 已释放，冷却至 {1}。";
    ConvertedNow: "{0} is EIP {1} now.", "{0} 现在是弹性公网 IP {1}。";
    Saved: "{0} is saved.", "{0} 已保存。";

    // What went wrong.
    Busy: "The gateway is busy and did not answer in time. Nothing was changed.", "网关繁忙，未能及时响应，没有进行任何修改。";
    Defect: "A defect of the gateway broke this off. Look whether it was done before you try again.", "网关内部出错，操作中断。重试前请先确认该操作是否已完成。";
    Stopping: "The gateway is stopping. Traffic goes on; come back in a moment.", "网关正在停止，流量不受影响，请稍后再来。";
    HistoryUnreadable: "The history cannot be read at present.", "暂时无法读取历史记录。";
    Forbidden: "Refused", "已拒绝";
    StrangeHost: "This page does not answer under that name. Open it by its address, or have the operator add the name to console_names.", "本页面不以该域名提供服务。请使用 IP 地址访问，或请运营方将该域名加入 console_names。";
    StrangeOrigin: "A form of another site was refused.", "已拒绝来自其他站点的表单。";
}
