//! Verdicts: what became of a packet and the one counted reason for it.
//!
//! One list generates the counter index, the XDP action, the name that operators see and the sentence that explains
//! it, so that they cannot drift apart. New verdicts go to the end of their group; the index is part of the map layout.

/// What the program does with a packet of a given verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Translated and sent on, past the kernel's stack (`XDP_REDIRECT`).
    Forward,
    /// Answered by the gateway itself out of the interface it came by (`XDP_REDIRECT`).
    Reply,
    /// Given to the kernel's stack (`XDP_PASS`).
    Pass,
    /// Dropped (`XDP_DROP`, never `XDP_ABORTED`, which would fire a tracepoint for each packet).
    Drop,
}

macro_rules! verdicts {
    ($($action:ident { $($variant:ident = $name:literal, $explanation:literal;)* })*) => {
        /// XDP action plus the one counted reason for it; the discriminant indexes the verdict counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        #[must_use = "a verdict that is not counted and returned is an unexplained packet"]
        pub enum Verdict {
            $($(#[doc = $explanation] $variant,)*)*
        }

        impl Verdict {
            /// Every verdict, in the order of its counter index.
            pub const ALL: &'static [Verdict] = &[$($(Verdict::$variant,)*)*];

            /// What the program does with the packet.
            #[inline(always)]
            pub const fn action(self) -> Action {
                match self { $($(Verdict::$variant => Action::$action,)*)* }
            }

            /// The stable name shown by the CLI, the monitor and the metrics.
            pub const fn name(self) -> &'static str {
                match self { $($(Verdict::$variant => $name,)*)* }
            }

            /// One sentence for an operator who sees this counter move.
            pub const fn explanation(self) -> &'static str {
                match self { $($(Verdict::$variant => $explanation,)*)* }
            }
        }
    };
}

verdicts! {
    Forward {
        Inbound = "inbound", "Internet to instance: destination translated to the private address.";
        Outbound = "outbound", "Instance to Internet: source translated to the public address.";
        Hairpin = "hairpin", "Instance to a public address of this gateway: both addresses translated.";
    }
    Reply {
        ArpReply = "arp-reply", "ARP request for a bound public address answered with the uplink's MAC.";
        TtlExceededReply = "ttl-exceeded-reply", "TTL ran out here; the sender got ICMP time exceeded.";
        TooBigReply = "too-big-reply", "Larger than the next link's MTU with DF set; the sender got ICMP fragmentation needed.";
        HostUnreachableReply = "host-unreachable-reply", "The next hop does not answer ARP, or the route says unreachable; the sender got ICMP host unreachable.";
        NetUnreachableReply = "net-unreachable-reply", "No route to the destination; the sender got ICMP network unreachable.";
    }
    Pass {
        PassOwnAddress = "pass-own-address", "Addressed to the gateway itself.";
        PassIpv6 = "pass-ipv6", "IPv6, which this gateway does not translate.";
        PassNotIp = "pass-not-ip", "Neither IPv4, IPv6 nor ARP.";
        PassArp = "pass-arp", "ARP that is the kernel's to answer.";
        PassLinkMulticast = "pass-link-multicast", "Link-local multicast (224.0.0.0/24), for routing protocols on this host.";
        PassBroadcast = "pass-broadcast", "Limited broadcast (255.255.255.255).";
        PassOtherMac = "pass-other-mac", "Frame for another host's MAC, seen by flooding; the kernel discards it.";
        HandedNeighbour = "handed-neighbour", "Translated, then handed to the kernel because the next hop's MAC is not known yet.";
        HandedFragmentation = "handed-fragmentation", "Translated, then handed to the kernel to be fragmented for the next link's MTU.";
        HandedMultiBuffer = "handed-multi-buffer", "Translated, then handed to the kernel because it lies in several buffers, and the kernel or a driver takes no redirected frames of that kind.";
    }
    Drop {
        MalformedEthernet = "malformed-ethernet", "Ethernet header or VLAN tags cut short, or more than two tags.";
        UnknownLink = "unknown-link", "Arrived by an interface or VLAN that is no configured uplink or downlink.";
        GroupMacUnicast = "group-mac-unicast", "Unicast IP destination in a multicast or broadcast frame (RFC 1812 5.3.4).";
        MalformedIp = "malformed-ip", "IPv4 header cut short, or its version or lengths are wrong.";
        BadIpChecksum = "bad-ip-checksum", "The IPv4 header checksum is wrong.";
        MalformedOptions = "malformed-options", "The IPv4 options do not parse.";
        SourceRoute = "source-route", "Carries a source route option (RFC 7126).";
        MartianSource = "martian-source", "Came from the Internet with a source that does not exist there; see martian_exceptions.";
        SpoofedSource = "spoofed-source", "Came from the Internet with a source that is ours.";
        MulticastDestination = "multicast-destination", "Multicast beyond the link, which this gateway does not route.";
        MartianDestination = "martian-destination", "Destination in 0/8, 127/8 or 240/4.";
        NotOurs = "not-ours", "Came by an uplink for an address that is neither in a pool nor the gateway's own.";
        UnboundAddress = "unbound-address", "Destination is a pool address that is bound to nothing at present, or fenced.";
        UnknownSource = "unknown-source", "Came by a downlink from a private address that is no instance's.";
        NoPublicAddress = "no-public-address", "The instance has no public address, or it is fenced.";
        PrivateDestination = "private-destination", "An instance sent to a private address through the gateway, which is not the VPC's router.";
        AhUntranslatable = "ah-untranslatable", "IPsec AH authenticates the addresses and cannot be translated (RFC 4302 3.3.3).";
        TinyFragment = "tiny-fragment", "A first fragment without its transport checksum, or TCP at fragment offset 1 (RFC 1858, RFC 3128).";
        TruncatedTransport = "truncated-transport", "The transport header is cut short.";
        UnfinishedChecksum = "unfinished-checksum", "The sender's stack left the transport checksum to hardware that is not there; switch off tx checksum offload on the sending veth or tap.";
        MalformedQuotation = "malformed-quotation", "ICMP error whose quoted packet does not parse.";
        IcmpRedirect = "icmp-redirect", "ICMP redirect, which must not cross the gateway (RFC 1812 5.2.7.2).";
        IcmpRouterDiscovery = "icmp-router-discovery", "ICMP router advertisement or solicitation, which belongs to one link.";
        NestedIcmpError = "nested-icmp-error", "ICMP error about an ICMP error (RFC 1122 3.2.2).";
        QuotationMismatch = "quotation-mismatch", "ICMP error quoting a packet that no binding can have sent (RFC 5508 REQ-4, REQ-5).";
        TtlExceededSilent = "ttl-exceeded-silent", "TTL ran out here, in a packet that must not be answered (RFC 1812 4.3.2.7).";
        TooBigSilent = "too-big-silent", "Too big with DF set, in a packet that must not be answered.";
        UnreachableSilent = "unreachable-silent", "Next hop unreachable, and the packet must not be answered.";
        IcmpRateLimited = "icmp-rate-limited", "An ICMP error was due but its sender has had enough of them (RFC 1812 4.3.2.8).";
        RouteBlackhole = "route-blackhole", "The kernel's route for the destination is a blackhole.";
        RouteProhibit = "route-prohibit", "The kernel's route for the destination is prohibit.";
        ForwardingDisabled = "forwarding-disabled", "The forwarding setting of the interface it arrived by is off; the daemon sets it when it starts.";
        TunnelRoute = "tunnel-route", "The kernel's route leads into a lightweight tunnel, which XDP cannot take.";
        RouteError = "route-error", "The kernel's route look-up failed with an error.";
        WrongEgress = "wrong-egress", "The route leads to an interface that is no uplink, or not a downlink of the instance's VPC.";
        KernelRouteDiffers = "kernel-route-differs", "The packet needed the kernel (next hop unknown or fragmentation), whose own route leads into another VPC or misses the VLAN tags.";
        HeadersNotLinear = "headers-not-linear", "The driver put the Ethernet or IP header beyond the first buffer.";
        FrameResizeFailed = "frame-resize-failed", "No room to add or remove VLAN tags or to build a reply.";
        InternalError = "internal-error", "The program could not reach its own working memory, which is a bug.";
        UnknownVpc = "unknown-vpc", "The binding's VPC has no downlink at present.";
    }
}

impl Verdict {
    /// Number of verdicts, the size of the counter array.
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// The verdict with this counter index, if there is one.
    pub fn from_index(index: u32) -> Option<Verdict> {
        Self::ALL.get(index as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_name_are_unique_and_round_trip() {
        for (index, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, index);
            assert_eq!(Verdict::from_index(index as u32), Some(*verdict));
            assert_eq!(Verdict::ALL.iter().filter(|other| other.name() == verdict.name()).count(), 1);
            assert!(verdict.explanation().ends_with('.'));
        }
        assert_eq!(Verdict::from_index(Verdict::COUNT), None);
    }
}
