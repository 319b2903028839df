//! What to do about each verdict. A new verdict does not compile until somebody has thought of it here.

use nat_common::verdict::Verdict;

/// What an operator does who wants the packet to get through; `None` where it does, or where nothing is to be done about
/// a packet like this.
pub fn remedy(verdict: Verdict) -> Option<&'static str> {
    use Verdict::*;
    Some(match verdict {
        Inbound | Outbound | Hairpin | ArpReply => return None,
        PassOwnAddress | PassIpv6 | PassNotIp | PassArp | PassLinkMulticast | PassBroadcast | PassOtherMac => {
            return None;
        }
        HandedNeighbour => "the kernel resolves the next hop; `ip neigh` shows whether it answers",
        HandedFragmentation => "nothing, or a larger MTU on the way out",
        HandedMultiBuffer => "nothing, it is only slower; Linux 6.3 and drivers that send such frames spare the detour",
        TtlExceededReply | TtlExceededSilent => {
            "nothing for traceroute; otherwise look for a routing loop in front of the gateway"
        }
        TooBigReply | TooBigSilent => "let ICMP fragmentation needed reach the sender, or raise the MTU of the way out",
        HostUnreachableReply | UnreachableSilent => {
            "see whether the next hop is up and answers ARP (`ip neigh`), and for an unreachable route (`ip route get`)"
        }
        NetUnreachableReply => "add a route to the destination (`ip route get` says what the kernel has)",
        MalformedEthernet | MalformedIp | BadIpChecksum | MalformedOptions | TruncatedTransport | TinyFragment
        | MalformedQuotation | NestedIcmpError | QuotationMismatch => {
            "the sender, or a box on the way, makes such packets; look there"
        }
        UnknownLink => "name the interface and VLAN as --uplink or --downlink; `eipgate status` lists those there are",
        GroupMacUnicast => "find out who sends unicast packets to a broadcast MAC",
        SourceRoute => "have the sender leave the source route out",
        MartianSource => "if a router of yours is numbered there, add its range to martian_exceptions",
        SpoofedSource => "somebody outside uses our addresses; have the upstream filter them",
        MulticastDestination | MartianDestination => "have the sender use a unicast address of the Internet",
        NotOurs => "add the range to pools if it is yours; otherwise stop routing it here",
        UnboundAddress => "`eipgate eip bind ADDR INSTANCE`",
        UnknownSource => "`eipgate instance create --private-ip ADDR`, in the VPC of the downlink",
        NoPublicAddress => "`eipgate eip bind EIP INSTANCE`, or give the instance a bandwidth when it is created",
        PrivateDestination => "route private destinations inside the VPC, not by way of this gateway",
        AhUntranslatable => "use ESP with NAT traversal",
        UnfinishedChecksum => "`ethtool -K IF tx off` on the sender's interface",
        IcmpRedirect | IcmpRouterDiscovery => "switch off whoever sends it",
        IcmpRateLimited => "raise icmp_errors_per_second and icmp_error_burst if the sender is to learn of each packet",
        RouteBlackhole | RouteProhibit => "`ip route get` shows the route that says so; remove it",
        ForwardingDisabled => "`sysctl -w net.ipv4.conf.IF.forwarding=1`, or restart the daemon, which sets it",
        TunnelRoute => "route the destination by an uplink or downlink without encapsulation",
        RouteError => "`ip route get` on the gateway says what the kernel finds",
        WrongEgress => "route the destination by an uplink, or by a downlink of the instance's VPC",
        KernelRouteDiffers => {
            "see whether the instance is up and answers ARP; once its MAC is known the kernel is not needed"
        }
        HeadersNotLinear => "report the driver; `--xdp-mode generic` avoids it",
        FrameResizeFailed => "report the driver: it leaves no headroom for tags and replies",
        InternalError => "report it with `eipgate status -o json`",
        UnknownVpc => "name a downlink of that VPC (--downlink IF=VPC) and start the daemon again",
    })
}

/// Whether the pipeline had got as far as choosing a way out when it came to this verdict.
pub fn chose_a_way(verdict: Verdict) -> bool {
    use Verdict::*;
    matches!(
        verdict,
        Inbound
            | Outbound
            | Hairpin
            | TtlExceededReply
            | TtlExceededSilent
            | TooBigReply
            | TooBigSilent
            | HostUnreachableReply
            | NetUnreachableReply
            | UnreachableSilent
            | IcmpRateLimited
            | HandedNeighbour
            | HandedFragmentation
            | HandedMultiBuffer
            | RouteBlackhole
            | RouteProhibit
            | ForwardingDisabled
            | TunnelRoute
            | RouteError
            | WrongEgress
            | KernelRouteDiffers
            | UnknownVpc
            | FrameResizeFailed
    )
}
