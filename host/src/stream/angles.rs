//! A few angles, as a benchmark's parameter: `0/20/40`.

use std::ops::Deref;
use std::str::FromStr;

/// Up to [`Angles::MAX`] angles in degrees. The size is fixed, so that a recipe is plain data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Angles {
    degrees: [f64; Angles::MAX],
    count: usize,
}

impl Angles {
    pub const MAX: usize = 16;

    /// # Panics
    /// When there are more than [`Angles::MAX`].
    pub const fn of(angles: &[f64]) -> Angles {
        assert!(angles.len() <= Angles::MAX, "so many angles at most");
        let mut degrees = [0.0; Angles::MAX];
        let mut count = 0;
        while count < angles.len() {
            degrees[count] = angles[count];
            count += 1;
        }
        Angles { degrees, count }
    }
}

impl Deref for Angles {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.degrees[..self.count]
    }
}

impl FromStr for Angles {
    type Err = String;

    fn from_str(text: &str) -> Result<Angles, String> {
        let angle = |piece: &str| match piece.parse::<f64>() {
            Ok(degrees) if degrees.is_finite() => Ok(degrees),
            _ => Err(format!("expected angles in degrees, as in 0/20/40, found `{piece}`")),
        };
        let angles = text.split('/').map(angle).collect::<Result<Vec<f64>, String>>()?;
        match angles.len() <= Angles::MAX {
            true => Ok(Angles::of(&angles)),
            false => {
                Err(format!("expected at most {} angles, found {}", Angles::MAX, angles.len()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_read() {
        assert_eq!("0/20/-7.5".parse::<Angles>().unwrap()[..], [0.0, 20.0, -7.5]);
        assert_eq!("90".parse::<Angles>().unwrap()[..], [90.0]);
    }

    #[test]
    fn what_is_no_angle_is_named() {
        let refused = |text: &str| text.parse::<Angles>().unwrap_err();
        assert!(refused("0/x").ends_with("as in 0/20/40, found `x`"), "{}", refused("0/x"));
        assert!(refused("").ends_with("found ``"));
        assert!(refused("inf").ends_with("found `inf`"));
        assert_eq!(refused(&vec!["1"; 17].join("/")), "expected at most 16 angles, found 17");
    }
}
