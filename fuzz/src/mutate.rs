//! Mutations of inputs. A seed gives the same mutations on every machine.

/// Bytes with a meaning in JSON, YAML or UTF-8.
const TELLING: &[u8] = b"\n \t\"'{}[]:,-#&*|>\\0179.eE~\0\xff\x80";

/// A random number generator: xorshift64*, which is good enough to pick from lists.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Equal seeds give equal sequences.
    pub fn new(seed: u64) -> Self {
        // Without this, seeds that differ in one bit would start with similar numbers.
        let mut mutator = Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 };
        mutator.next();
        mutator
    }

    /// A number below `bound`, or 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound == 0 { 0 } else { (self.next() % bound) as usize }
    }

    /// Changes an input in one to eight places. `others` are inputs from which pieces are copied.
    pub fn mutate(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str]) {
        for _ in 0..1 << self.below(4) {
            self.change(input, others, words);
        }
    }

    fn change(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str]) {
        let at = self.below(input.len() + 1);
        let longest = if self.below(8) == 0 { 64 } else { 6 };
        let end = (at + 1 + self.below(longest)).min(input.len());
        match self.below(12) {
            0 if at < input.len() => input[at] = self.next() as u8,
            1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 if at < input.len() => input[at] = input[at].wrapping_add([1, 255, 4, 16][self.below(4)]),
            3 => drop(input.drain(at.min(end)..end)),
            4 => {
                let piece = input[at.min(end)..end].to_vec();
                insert(input, at, &piece);
            }
            5 => {
                let piece = input[at.min(end)..end].to_vec();
                let to = self.below(input.len() + 1);
                insert(input, to, &piece);
            }
            6 => {
                let byte = TELLING[self.below(TELLING.len())];
                insert(input, at, &[byte]);
            }
            7 => {
                let word = [0_u32, 1, 5, 17, 0x7fff_ffff, u32::MAX, at as u32, input.len() as u32][self.below(8)];
                let word = word.to_le_bytes();
                let length = word.len().min(input.len() - at);
                input[at..at + length].copy_from_slice(&word[..length]);
            }
            8 if !others.is_empty() => {
                let other = &others[self.below(others.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(100)).min(other.len());
                insert(input, at, &other[from..to]);
            }
            9 if !others.is_empty() => {
                let other = &others[self.below(others.len())];
                input.truncate(at);
                input.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
            _ if !words.is_empty() => {
                let word = words[self.below(words.len())].as_bytes();
                if self.below(2) == 0 {
                    drop(input.drain(at.min(end)..end));
                }
                insert(input, at.min(input.len()), word);
            }
            _ => insert(input, at, &[self.clone().next() as u8]),
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}
