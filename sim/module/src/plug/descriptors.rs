//! What the module says of itself on USB (USB 2.0, 9.6). All numbers are little-endian.

/// Of the interface: a vendor's own class, and in it the line protocol.
pub(super) const CLASS: [u8; 3] = [0xFF, 0x53, 0x01];
pub(super) const BULK_OUT: u8 = 0x01;
pub(super) const BULK_IN: u8 = 0x81;
/// The bytes of the longest packet, at high speed.
pub(super) const PACKET: u16 = 512;
/// For tests, by pid.codes.
pub(super) const VENDOR: u16 = 0x1209;
pub(super) const PRODUCT: u16 = 0x0001;
/// The release of the device, as BCD.
pub(super) const RELEASE: u16 = 0x0100;

/// GET_DESCRIPTOR's answer for this type and index; none where there is no such descriptor.
pub(super) fn get(kind: u8, index: u8) -> Option<Vec<u8>> {
    match (kind, index) {
        (1, 0) => Some(device()),
        (2, 0) => Some(configuration()),
        // English of the United States is the one language.
        (3, 0) => Some(vec![4, 3, 0x09, 0x04]),
        (3, 1) => Some(text("smartpos")),
        (3, 2) => Some(text("virtual secure module")),
        (3, 3) => Some(text("1")),
        _ => None,
    }
}

fn device() -> Vec<u8> {
    let [version, vendor, product, release] = [0x0200, VENDOR, PRODUCT, RELEASE].map(u16::to_le_bytes);
    // The class is the interface's; endpoint 0 has packets of 64 bytes; three texts; one configuration.
    [&[18, 1], &version[..], &[0, 0, 0, 64], &vendor, &product, &release, &[1, 2, 3, 1]].concat()
}

fn configuration() -> Vec<u8> {
    let [size, high] = PACKET.to_le_bytes();
    let [class, subclass, protocol] = CLASS;
    [
        // One interface; powered by itself.
        &[9, 2, 32, 0, 1, 1, 0, 0xC0, 0][..],
        &[9, 4, 0, 0, 2, class, subclass, protocol, 0],
        &[7, 5, BULK_OUT, 2, size, high, 0],
        &[7, 5, BULK_IN, 2, size, high, 0],
    ]
    .concat()
}

fn text(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u8::try_from(units.len() + 2).unwrap_or(u8::MAX);
    [&[length, 3], &units[..]].concat()
}
