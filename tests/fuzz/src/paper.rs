//! What apps ask to be printed, and what printers say.

use std::sync::LazyLock;

use escpos::status::Parser;
use escpos::{Document, Font, Profile, encode, layout, render};

static PROFILES: LazyLock<[Profile; 2]> = LazyLock::new(|| {
    [
        include_str!("../../../config/printers/generic-58mm-gb18030.toml"),
        include_str!("../../../config/printers/generic-80mm-raster.toml"),
    ]
    .map(|text| toml::from_str(text).expect("a shipped profile"))
});

/// A document that is taken is written and read again as it was; what can be laid out is drawn and encoded.
pub(crate) fn escpos_document(bytes: &[u8]) -> bool {
    thread_local! {
        static FONT: std::cell::RefCell<Font> = Font::builtin().expect("the shipped font").into();
    }
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return false };
    let json = serde_json::to_vec(&document).expect("a document is JSON");
    assert_eq!(serde_json::from_slice::<Document>(&json).ok().as_ref(), Some(&document));
    FONT.with_borrow_mut(|font| {
        for profile in PROFILES.iter() {
            let Ok(layout) = layout(&document, profile, font) else { continue };
            assert!(!encode(&layout, profile, font).is_empty(), "nothing is printed");
            for sheet in render(&layout, font) {
                assert_eq!(sheet.width(), usize::from(profile.dots), "the paper's width");
            }
        }
    });
    true
}

/// Each event takes at least a byte, and a parser finds its way again after whatever came.
pub(crate) fn escpos_status(bytes: &[u8]) -> bool {
    let mut parser = Parser::new();
    let events = bytes.iter().filter_map(|byte| parser.push(*byte)).count();
    assert!(events <= bytes.len());
    // Three bytes of a status may be owed; a paper sensor's answer after those is heard.
    let found = [0u8; 4].iter().filter_map(|byte| parser.push(*byte)).count();
    assert!(found > 0, "the parser is deaf");
    events > 0
}
