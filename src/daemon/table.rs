//! Things that come and go, found by a token that is never used twice.

/// Where a thing stands, and the how-manieth it is to stand there: a token of something that is
/// gone finds nothing, even when its place was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token {
    place: u32,
    generation: u32,
}

/// The things.
pub(crate) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

struct Place<T> {
    generation: u32,
    thing: Option<T>,
}

impl Token {
    /// As one number, for the kernel to keep.
    pub(crate) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }

    pub(crate) fn from_u64(number: u64) -> Self {
        Token {
            place: number as u32,
            generation: (number >> 32) as u32,
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// Takes in a thing.
    pub(crate) fn insert(&mut self, thing: T) -> Token {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                thing: None,
            });
            u32::try_from(self.places.len() - 1).expect("connections are limited")
        });
        let slot = &mut self.places[place as usize];
        slot.thing = Some(thing);
        Token {
            place,
            generation: slot.generation,
        }
    }

    /// The thing of this token, if it is still there.
    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        let slot = self.places.get(token.place as usize)?;
        slot.thing
            .as_ref()
            .filter(|_| slot.generation == token.generation)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let slot = self.places.get_mut(token.place as usize)?;
        slot.thing
            .as_mut()
            .filter(|_| slot.generation == token.generation)
    }

    /// Takes the thing out, if it is still there.
    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        let slot = self.places.get_mut(token.place as usize)?;
        if slot.generation != token.generation {
            return None;
        }
        let thing = slot.thing.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(token.place);
        Some(thing)
    }

    /// Whether nothing is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// All that is there. Costs as much as there ever was at once: for rare moments.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        self.places.iter().zip(0..).filter_map(|(slot, place)| {
            let token = Token {
                place,
                generation: slot.generation,
            };
            slot.thing.as_ref().map(|thing| (token, thing))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_finds_its_thing_only() {
        let mut table = Table::default();
        let first = table.insert("first");
        assert_eq!(table.remove(first), Some("first"));
        assert!(table.is_empty());
        let second = table.insert("second");
        assert_eq!(
            table.get_mut(first),
            None,
            "though it stands in the same place"
        );
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get_mut(second), Some(&mut "second"));
        assert_eq!(Token::from_u64(second.to_u64()), second);
        assert_eq!(
            table.iter().map(|(token, _)| token).collect::<Vec<_>>(),
            [second]
        );
    }
}
