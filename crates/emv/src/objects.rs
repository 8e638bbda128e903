//! Where data objects are kept: beside each other in memory that is reserved once. It is wiped when it is dropped, and where it was when it
//! has to move, because a value may be a PAN.

use core::ops::Range;

use tlv::Tag;
use zeroize::{Zeroize, Zeroizing};

/// Bytes that are wiped.
pub(crate) type Wiped = Zeroizing<Vec<u8>>;

/// Room for so many bytes.
pub(crate) fn room(bytes: usize) -> Wiped {
    Zeroizing::new(Vec::with_capacity(bytes))
}

/// Appends bytes. What outgrows its room moves to one of twice the size.
pub(crate) fn append(to: &mut Wiped, bytes: &[u8]) {
    if to.capacity() - to.len() < bytes.len() {
        let mut roomier = room(2 * (to.len() + bytes.len()));
        roomier.extend_from_slice(to);
        *to = roomier;
    }
    to.extend_from_slice(bytes);
}

/// Data objects by their tags. The tags are by themselves, since they are what is searched.
pub(crate) struct Objects {
    tags: Vec<Tag>,
    places: Vec<Range<usize>>,
    values: Wiped,
}

impl Objects {
    /// None yet, with room for so many objects and bytes.
    pub(crate) fn with_room(objects: usize, bytes: usize) -> Self {
        Self { tags: Vec::with_capacity(objects), places: Vec::with_capacity(objects), values: room(bytes) }
    }

    pub(crate) fn get(&self, tag: Tag) -> Option<&[u8]> {
        let place = self.places.get(self.position(tag)?)?;
        self.values.get(place.clone())
    }

    fn position(&self, tag: Tag) -> Option<usize> {
        self.tags.iter().position(|known| *known == tag)
    }

    /// Takes an object, in place of one with its tag. Whether there was one.
    pub(crate) fn insert(&mut self, tag: Tag, value: &[u8]) -> bool {
        let known = self.position(tag).and_then(|position| self.places.get_mut(position));
        if let Some(place) = &known
            && place.len() == value.len()
            && let Some(room) = self.values.get_mut(Range::clone(place))
        {
            room.copy_from_slice(value);
            return true;
        }
        let start = self.values.len();
        append(&mut self.values, value);
        let place = start..self.values.len();
        if let Some(known) = known {
            *known = place;
            return true;
        }
        self.tags.push(tag);
        self.places.push(place);
        false
    }

    pub(crate) fn remove(&mut self, tag: Tag) {
        if let Some(position) = self.position(tag) {
            self.tags.swap_remove(position);
            self.places.swap_remove(position);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.tags.clear();
        self.places.clear();
        self.values.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use tlv::tags;

    use super::*;

    #[test]
    fn an_object_is_found_as_it_was_put_last() {
        let mut objects = Objects::with_room(1, 4);
        assert!(!objects.insert(tags::ATC, &[1, 2]));
        assert!(!objects.insert(tags::TVR, &[0; 5]));
        assert!(objects.insert(tags::ATC, &[3, 4]));
        assert!(objects.insert(tags::TVR, &[9]));
        assert_eq!((objects.get(tags::ATC), objects.get(tags::TVR)), (Some(&[3, 4][..]), Some(&[9][..])));
        assert!(objects.insert(tags::TVR, &[]));
        assert_eq!((objects.get(tags::TVR), objects.get(tags::PAN)), (Some(&[][..]), None));
        objects.clear();
        assert_eq!(objects.get(tags::ATC), None);
    }
}
