//! The size of a storm, and random numbers from a seed.

use std::path::PathBuf;
use std::time::Duration;

/// Deterministic random numbers from a seed (splitmix64).
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Returns independent random numbers for one task.
    pub fn apart(&self, name: &str) -> Dice {
        Dice(name.bytes().fold(self.0, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[self.below(things.len() as u64) as usize]
    }

    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for place in (1..things.len()).rev() {
            things.swap(place, self.below(place as u64 + 1) as usize);
        }
    }

    /// Returns a random duration up to this one.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_millis(self.below(longest.as_millis() as u64 + 1))
    }
}

/// The seed of the short storm. It is fixed, so that a failure is due to a change of the code and not to other faults.
const SHORT_SEED: u64 = 7;

/// The storm's size. All numbers are multiples of [`Plan::scale`]; `cargo test` runs 1.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub scale: u64,
    /// The time limit for the storm and all of its jobs.
    pub limit: Duration,
}

impl Plan {
    /// Reads the plan from the environment: HANDOVER_STORM_SEED, HANDOVER_STORM_SCALE, HANDOVER_STORM_MINUTES.
    pub fn read() -> Plan {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let scale = number("HANDOVER_STORM_SCALE").unwrap_or(1).max(1);
        let seed = number("HANDOVER_STORM_SEED").unwrap_or_else(|| match scale {
            1 => SHORT_SEED,
            _ => clock().map_or(1, |now| now.as_secs() % 1_000_000),
        });
        let minutes = number("HANDOVER_STORM_MINUTES").unwrap_or(12 + 2 * scale);
        Plan { seed, scale, limit: Duration::from_secs(60 * minutes) }
    }

    /// Returns the folder for the logs of all processes.
    pub fn logs(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("storm-{}", self.seed))
    }

    pub fn jobs(&self) -> u64 {
        27 * self.scale
    }

    /// Returns the number of the leavers' records at the start.
    pub fn records(&self) -> u64 {
        5_000 * self.scale
    }
}
