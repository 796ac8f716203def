//! The greedy balancing sampler of GDumb: which sample goes where in the memory.

use perdura_sdk::Placement;
use perdura_sdk::rand::{Rng, RngExt};

/// What the sampler remembers: the class in each slot that is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greedy {
    pub classes: Vec<u32>,
}

impl Greedy {
    /// Where the next sample of the stream goes in a memory of so many slots.
    ///
    /// With k classes seen, its own included, a class has a share of `capacity / k`. A sample of a
    /// class that has its share is passed over. Another takes a free slot, or, when there is none,
    /// that of a random sample of the largest class (of several the lowest).
    pub fn place(&mut self, class: u32, capacity: usize, rng: &mut impl Rng) -> Placement {
        let classes = self.classes.iter().fold(class, |most, &held| most.max(held)) as usize + 1;
        let mut counts = vec![0; classes];
        self.classes.iter().for_each(|&held| counts[held as usize] += 1);
        let own = counts[class as usize];
        let seen = counts.iter().filter(|&&count| count > 0).count() + usize::from(own == 0);
        // `own < capacity / seen` without rounding.
        if own * seen >= capacity {
            return Placement::Skip;
        }
        if self.classes.len() < capacity {
            self.classes.push(class);
            return Placement::Slot(self.classes.len() as u32 - 1);
        }
        let most = counts.iter().max().expect("there is a class");
        let largest = counts.iter().position(|count| count == most).expect("it is one of them");
        let largest = largest as u32;
        let slots: Vec<usize> =
            (0..self.classes.len()).filter(|&slot| self.classes[slot] == largest).collect();
        let slot = slots[rng.random_range(0..slots.len())];
        self.classes[slot] = class;
        Placement::Slot(slot as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perdura_sdk::rand::{SeedableRng, rngs::StdRng};

    fn held(sampler: &Greedy) -> Vec<usize> {
        (0..3).map(|of| sampler.classes.iter().filter(|&&class| class == of).count()).collect()
    }

    /// Six slots: the first class fills them and is then passed over; the second takes three of
    /// them, the third two, one from each of the others in turn.
    #[test]
    fn classes_share_the_memory_by_hand() {
        let (mut sampler, mut rng) = (Greedy::default(), StdRng::seed_from_u64(1));
        let mut place = |sampler: &mut Greedy, class| sampler.place(class, 6, &mut rng);
        for slot in 0..6 {
            assert_eq!(place(&mut sampler, 0), Placement::Slot(slot));
        }
        assert_eq!(place(&mut sampler, 0), Placement::Skip);
        for taken in 1..4 {
            assert!(matches!(place(&mut sampler, 1), Placement::Slot(0..6)));
            assert_eq!(held(&sampler), [6 - taken, taken, 0]);
        }
        assert_eq!(place(&mut sampler, 1), Placement::Skip);
        assert_eq!(place(&mut sampler, 0), Placement::Skip);
        place(&mut sampler, 2);
        assert_eq!(held(&sampler), [2, 3, 1], "the lowest of the largest gives first");
        place(&mut sampler, 2);
        assert_eq!(held(&sampler), [2, 2, 2]);
        assert_eq!(place(&mut sampler, 2), Placement::Skip);
    }

    /// Shares that do not divide: 7 slots for 2 classes are 3.5 each, so up to 4.
    #[test]
    fn a_share_may_be_rounded_up() {
        let (mut sampler, mut rng) = (Greedy::default(), StdRng::seed_from_u64(1));
        for class in [0, 0, 0, 0, 0, 1, 1, 1, 1, 1] {
            sampler.place(class, 7, &mut rng);
        }
        assert_eq!(held(&sampler), [3, 4, 0], "the last sample of class 1 is passed over");
        sampler.place(0, 7, &mut rng);
        assert_eq!(held(&sampler), [4, 3, 0], "a class below its share still comes in");
        sampler.place(1, 7, &mut rng);
        assert_eq!(held(&sampler), [3, 4, 0]);
    }

    #[test]
    fn no_room_takes_nothing() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(Greedy::default().place(0, 0, &mut rng), Placement::Skip);
    }
}
