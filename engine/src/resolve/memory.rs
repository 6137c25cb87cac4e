//! The memory of one resolution, by number: on the stack up to a size that few resolutions exceed, on the heap beyond
//! it.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The numbers below this have a fixed place. The attributes that a workspace names first are those that it names most
/// often.
const LOW: u32 = 32;
/// The number of other items that are remembered without allocating.
const INLINE: usize = 32;
/// Twice as many places, so that one is always free.
const PLACES: usize = 64;

/// Items by number. The part that is cleared for each resolution is small, however many numbers there are.
pub struct Memory<T> {
    low: [Option<T>; LOW as usize],
    high: Option<High<T>>,
}

impl<T: Copy> Memory<T> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { low: [None; LOW as usize], high: None }
    }

    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> Option<T> {
        match self.low.get(number as usize) {
            Some(thing) => *thing,
            None => self.high.as_ref()?.get(number),
        }
    }

    /// Remembers an item under a number that has none yet.
    #[inline(always)]
    pub(crate) fn insert(&mut self, number: u32, thing: T) {
        match self.low.get_mut(number as usize) {
            Some(place) => *place = Some(thing),
            None => self.high.get_or_insert_with(High::new).insert(number, thing),
        }
    }
}

/// Items by any number.
struct High<T> {
    /// The position of each number in `first`, counted from 1; 0 is none. A number whose place is taken gets the next
    /// one.
    places: [u8; PLACES],
    first: [Option<(u32, T)>; INLINE],
    count: usize,
    more: HashMap<u32, T, FixedState>,
}

impl<T: Copy> High<T> {
    fn new() -> Self {
        let more = HashMap::with_hasher(FixedState::default());
        Self { places: [0; PLACES], first: [None; INLINE], count: 0, more }
    }

    fn get(&self, number: u32) -> Option<T> {
        let mut place = number as usize % PLACES;
        while let Some(Some((known, thing))) = self.first.get(usize::from(self.places[place]).wrapping_sub(1)) {
            if *known == number {
                return Some(*thing);
            }
            place = (place + 1) % PLACES;
        }
        if self.more.is_empty() { None } else { self.more.get(&number).copied() }
    }

    fn insert(&mut self, number: u32, thing: T) {
        let Some(free) = self.first.get_mut(self.count) else {
            self.more.insert(number, thing);
            return;
        };
        let mut place = number as usize % PLACES;
        while self.places[place] != 0 {
            place = (place + 1) % PLACES;
        }
        *free = Some((number, thing));
        self.count += 1;
        self.places[place] = u8::try_from(self.count).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_found_however_much_it_is() {
        // Numbers that share places, and more of them than places.
        for step in [1, 7, 64] {
            let mut memory = Memory::new();
            for count in 0..1_000_u32 {
                let number = count * step;
                assert_eq!(memory.get(number), None);
                memory.insert(number, count);
                assert_eq!(memory.get(number), Some(count));
                assert_eq!(memory.get(number / 2 / step * step), Some(count / 2));
            }
        }
    }
}
