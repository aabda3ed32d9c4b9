/// Random, and the same in each run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn up_to(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % (most + 1)
    }
}
