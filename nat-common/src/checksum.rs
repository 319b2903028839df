//! The Internet checksum: one's-complement sums (RFC 1071) and incremental update (RFC 1624, equation 3).
//!
//! A one's-complement sum does not depend on byte order as long as every word is read the same way (RFC 1071 2(B)),
//! so words are read in the machine's own order and nothing is ever swapped.
//!
//! Updates are incremental only: a checksum that was wrong before is equally wrong afterwards, so corruption on the
//! way stays visible to the receiver (RFC 3022 4.2).

/// Folds the carries of a sum of 16-bit words back into 16 bits. Exact for sums of up to 65,536 words.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Sum of the words of a fixed-size even-length block, unfolded. `N` is at most 64, which bounds the loop.
#[inline(always)]
pub fn block_sum<const N: usize>(block: &[u8; N]) -> u32 {
    const { assert!(N.is_multiple_of(2) && N <= 64) };
    let mut sum = 0;
    let mut at = 0;
    while at + 1 < N {
        sum += u16::from_ne_bytes([block[at], block[at + 1]]) as u32;
        at += 2;
    }
    sum
}

/// Adds 32 bytes, read as 32-bit words in the machine's order, to a folded sum: a one's-complement sum of wider words
/// folds to the same 16 bits (RFC 1071 2(C)).
#[inline(always)]
pub const fn add_words(sum: u16, words: &[u32; 8]) -> u16 {
    let mut wide = sum as u64;
    let mut at = 0;
    while at < 8 {
        wide += words[at] as u64;
        at += 1;
    }
    let wide = (wide & 0xffff_ffff) + (wide >> 32);
    let wide = (wide & 0xffff) + ((wide >> 16) & 0xffff) + (wide >> 32);
    fold(wide as u32)
}

/// Whether the words summed, the checksum field among them, are consistent.
#[inline(always)]
pub const fn verifies(sum: u32) -> bool {
    fold(sum) == 0xffff
}

/// The change of a block of words: the sum of `~old + new` over every word that changed, unfolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta(u32);

impl Delta {
    /// Nothing changed.
    pub const ZERO: Delta = Delta(0);

    /// The change of one 16-bit word at an even offset.
    #[inline(always)]
    pub const fn of_word(old: [u8; 2], new: [u8; 2]) -> Delta {
        Delta(!u16::from_ne_bytes(old) as u32 + u16::from_ne_bytes(new) as u32)
    }

    /// The change of an IPv4 address.
    #[inline(always)]
    pub const fn of_address(old: [u8; 4], new: [u8; 4]) -> Delta {
        Delta::of_words(u32::from_ne_bytes(old), u32::from_ne_bytes(new))
    }

    /// The change of two words at an even offset, as they lie in memory.
    #[inline(always)]
    pub const fn of_words(old: u32, new: u32) -> Delta {
        let sum = !old as u64 + new as u64;
        Delta((sum & 0xffff) as u32 + (sum >> 16) as u32)
    }

    /// Both changes together. At most 30,000 words may be joined before the sum could overflow; callers join a dozen.
    #[inline(always)]
    pub const fn plus(self, other: Delta) -> Delta {
        Delta(self.0.wrapping_add(other.0))
    }

    /// Updates a checksum for this change: `HC' = ~(~HC + ~m + m')` (RFC 1624, equation 3).
    ///
    /// The result is never 0xffff unless nothing changed, the form a full computation gives too.
    #[inline(always)]
    pub fn apply(self, check: &mut [u8; 2]) {
        let sum = !u16::from_ne_bytes(*check) as u32;
        *check = (!fold(sum.wrapping_add(self.0))).to_ne_bytes();
    }

    /// Updates a checksum in which zero means "none was computed" (RFC 768): zero stays, and a result of zero is sent
    /// as 0xffff.
    #[inline(always)]
    pub fn apply_unless_absent(self, check: &mut [u8; 2]) {
        if *check != [0, 0] {
            self.apply_never_zero(check);
        }
    }

    /// Updates a checksum that may never be zero (RFC 3828 3.1): a result of zero is sent as 0xffff.
    #[inline(always)]
    pub fn apply_never_zero(self, check: &mut [u8; 2]) {
        self.apply(check);
        if *check == [0, 0] {
            *check = [0xff, 0xff];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address_sum(address: [u8; 4]) -> u32 {
        block_sum(&address)
    }

    fn full(words: &[[u8; 2]]) -> [u8; 2] {
        let sum: u32 = words.iter().map(|word| u32::from(u16::from_ne_bytes(*word))).sum();
        (!fold(sum)).to_ne_bytes()
    }

    proptest! {
        #[test]
        fn incremental_update_equals_full_computation(
            old in any::<[u8; 4]>(), new in any::<[u8; 4]>(), rest in proptest::collection::vec(any::<[u8; 2]>(), 1..40),
        ) {
            let block = |address: [u8; 4]| {
                let mut words = vec![[address[0], address[1]], [address[2], address[3]], [0x45, 0]];
                words.extend(&rest);
                words
            };
            let mut check = full(&block(old));
            Delta::of_address(old, new).apply(&mut check);
            prop_assert_eq!(check, full(&block(new)));
        }

        #[test]
        fn a_wrong_checksum_stays_equally_wrong(old in any::<[u8; 4]>(), new in any::<[u8; 4]>(), check in any::<[u8; 2]>()) {
            let sum = |address, check: [u8; 2]| fold(address_sum(address) + u32::from(u16::from_ne_bytes(check)));
            let mut updated = check;
            Delta::of_address(old, new).apply(&mut updated);
            // One's complement has two zeros, so compare the sums modulo 0xffff.
            prop_assert_eq!(sum(old, check) % 0xffff, sum(new, updated) % 0xffff);
        }
    }

    proptest! {
        #[test]
        fn wide_words_fold_to_the_same_sum(bytes in any::<[u8; 32]>(), start in any::<u16>()) {
            let mut words = [0; 8];
            for (word, four) in words.iter_mut().zip(bytes.chunks(4)) {
                *word = u32::from_ne_bytes(four.try_into().unwrap());
            }
            prop_assert_eq!(add_words(start, &words), fold(u32::from(start) + block_sum(&bytes)));
        }
    }

    #[test]
    fn every_checksum_value_survives_out_and_back() {
        // Addresses with equal sums included: their delta is one's-complement zero.
        for (a, b) in [([10, 0, 0, 5], [203, 0, 113, 9]), ([1, 2, 3, 4], [3, 4, 1, 2]), ([0, 0, 0, 0], [255; 4])] {
            for value in 0..=u16::MAX {
                let mut check = value.to_ne_bytes();
                Delta::of_address(a, b).apply(&mut check);
                Delta::of_address(b, a).apply(&mut check);
                assert_eq!(u16::from_ne_bytes(check) % 0xffff, value % 0xffff);
                assert_ne!(check, [0xff, 0xff], "0xffff is the second zero and is never sent (RFC 1624 3)");
            }
        }
    }

    #[test]
    fn an_absent_udp_checksum_stays_absent_and_a_computed_zero_becomes_ffff() {
        for value in 0..=u16::MAX {
            let mut check = value.to_ne_bytes();
            Delta::of_address([10, 0, 0, 5], [203, 0, 113, 9]).apply_unless_absent(&mut check);
            assert_eq!(check == [0, 0], value == 0);
        }
    }
}
