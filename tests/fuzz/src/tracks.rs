//! What a head reads, or a reader that passes for a keyboard types.

use stripe::{Swipe, Track2, Tracks};

/// Tracks that are taken have an account that the host can open, and are read again as they were.
pub(crate) fn stripe_tracks(bytes: &[u8]) -> bool {
    let tracks = Tracks::typed(bytes);
    let Ok(swipe) = Swipe::read(&tracks) else { return false };
    let opened = keys::Track2::from_bytes(swipe.track2()).expect("what is sealed is a track 2");
    assert_eq!(opened.pan(), swipe.pan());
    assert_eq!(opened.service_code(), swipe.service_code().to_string());
    let track = tracks.two.expect("an account is that of track 2");
    let data = std::str::from_utf8(track).expect("a track is ASCII").trim_matches([';', '?']);
    let again = Track2::encode(data).expect("what was taken fits on a track");
    assert_eq!(*Track2::parse(&again).expect("what was encoded is taken").to_bytes(), *swipe.track2());
    true
}
