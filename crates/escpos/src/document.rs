//! The receipt document: what an app asks to be printed, in terms of a receipt and not of a printer.
//!
//! A [`Document`] is valid once it exists: its constructor, and so its deserialisation, check each field.

use serde::{Deserialize, Serialize};

use crate::Error;

/// The most elements in a document.
pub const MAX_ELEMENTS: usize = 500;
/// The most bytes (UTF-8) of one text, cell or symbol.
pub const MAX_TEXT: usize = 4096;
/// The most cells in one row of columns.
pub const MAX_CELLS: usize = 8;
/// The most bytes of one PNG.
pub const MAX_PNG: usize = 256 * 1024;
/// The most bytes of all texts and pictures together.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A checked receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Element>", into = "Vec<Element>")]
pub struct Document(Vec<Element>);

/// One part of a receipt, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Element {
    /// A paragraph.
    Text(Text),
    /// A row of cells beside each other.
    Columns(Columns),
    /// A line across the paper.
    Rule(Rule),
    /// Blank lines.
    Feed(Feed),
    /// A picture.
    Image(Image),
    /// A QR code.
    Qr(Qr),
    /// A bar code.
    Barcode(Barcode),
    /// A cut: what follows is another piece of paper.
    Cut(Cut),
    /// A pulse that opens the cash drawer.
    Drawer(Drawer),
}

/// A paragraph: wrapped at the paper's edge; `\n` begins a new line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Text {
    /// The text; an empty one is a blank line.
    pub text: String,
    /// Where its lines stand.
    pub align: Align,
    /// Heavier.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// White on black.
    pub inverted: bool,
    /// Twice as wide.
    pub double_width: bool,
    /// Twice as high.
    pub double_height: bool,
}

/// A row of cells. Each wraps within its own width.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// 1 to [`MAX_CELLS`] cells, from the left.
    pub cells: Vec<Cell>,
    /// Heavier.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// White on black.
    pub inverted: bool,
    /// Twice as wide.
    pub double_width: bool,
    /// Twice as high.
    pub double_height: bool,
}

/// A cell of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cell {
    /// The text; `\n` begins a new line.
    pub text: String,
    /// Where it stands in its width.
    pub align: Align,
    /// A fixed width in half-width characters, 2 to 64; 0 takes a share of what fixed cells leave.
    pub width: u16,
    /// That share, 1 to 100, relative to the other cells' weights.
    pub weight: u16,
}

impl Default for Cell {
    fn default() -> Cell {
        Cell { text: String::new(), align: Align::Left, width: 0, weight: 1 }
    }
}

/// A line across the paper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// How it is drawn.
    pub line: Stroke,
}

/// Blank lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// How many, 1 to 20.
    pub lines: u8,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed { lines: 1 }
    }
}

/// A picture, one dot for each pixel; one wider than the paper is scaled down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// PNG, at most [`MAX_PNG`] bytes and 2000 × 4000 pixels. As text: hexadecimal.
    #[serde(serialize_with = "hex_out", deserialize_with = "hex_in")]
    pub png: Vec<u8>,
    /// Where it stands.
    #[serde(default)]
    pub align: Align,
    /// How grey becomes dots.
    #[serde(default)]
    pub tone: Tone,
}

/// A QR code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qr {
    /// What it says, at most 1000 bytes.
    pub data: String,
    /// How much damage it survives.
    #[serde(default)]
    pub ecc: Ecc,
    /// The side of a module in dots, 2 to 16.
    #[serde(default = "qr_module")]
    pub module: u8,
    /// Where it stands.
    #[serde(default = "centre")]
    pub align: Align,
}

/// A bar code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Barcode {
    /// Code 128: 1 to 48 characters of printable ASCII. EAN-13: 12 digits, or 13 with a right check digit.
    pub data: String,
    /// The kind of bar code.
    #[serde(default)]
    pub symbology: Symbology,
    /// The height of the bars in dots, 24 to 240.
    #[serde(default = "bar_height")]
    pub height: u8,
    /// The width of the narrowest bar in dots, 2 to 6.
    #[serde(default = "bar_module")]
    pub module: u8,
    /// Whether the characters stand below the bars.
    #[serde(default)]
    pub text: bool,
    /// Where it stands.
    #[serde(default = "centre")]
    pub align: Align,
}

/// A cut. A printer without a cutter feeds to its tear bar instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cut {
    /// How far through.
    pub mode: CutMode,
}

/// A pulse that opens the cash drawer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drawer {
    /// The pin of the drawer connector: 2 or 5.
    pub pin: u8,
}

impl Default for Drawer {
    fn default() -> Drawer {
        Drawer { pin: 2 }
    }
}

/// Where something stands across its width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// At the left edge.
    #[default]
    Left,
    /// In the middle.
    Center,
    /// At the right edge.
    Right,
}

/// How a rule is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stroke {
    /// Hyphens.
    #[default]
    Dashed,
    /// A continuous line, where the printer has one.
    Solid,
    /// Equals signs.
    Double,
}

/// How grey becomes dots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Error diffusion: for photographs.
    #[default]
    Dither,
    /// Black below the middle: for logos and line art.
    Threshold,
}

/// QR error correction: about 7, 15, 25 or 30 % of the code may be lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ecc {
    /// L.
    Low,
    /// M.
    #[default]
    Medium,
    /// Q.
    Quartile,
    /// H.
    High,
}

/// The kinds of bar code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Symbology {
    /// ISO/IEC 15417.
    #[default]
    #[serde(rename = "code128")]
    Code128,
    /// ISO/IEC 15420.
    #[serde(rename = "ean13")]
    Ean13,
}

/// How far through the paper a cut goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutMode {
    /// One point is left.
    #[default]
    Partial,
    /// Through.
    Full,
}

impl Document {
    /// Checks `elements` and makes a document of them.
    ///
    /// # Errors
    /// [`Error::Element`] names the first element and field out of its range; [`Error::Document`] is about the sum.
    pub fn new(elements: Vec<Element>) -> Result<Document, Error> {
        if elements.is_empty() {
            return Err(Error::Document("is empty: give at least one element".into()));
        }
        if elements.len() > MAX_ELEMENTS {
            return Err(Error::Document(format!(
                "has {} elements: at most {MAX_ELEMENTS} are taken",
                elements.len()
            )));
        }
        let mut bytes = 0;
        for (index, element) in elements.iter().enumerate() {
            bytes += check(element).map_err(|(field, reason)| Error::Element { index, field, reason })?;
        }
        if bytes > MAX_BYTES {
            return Err(Error::Document(format!("has {bytes} bytes: at most {MAX_BYTES} are taken")));
        }
        Ok(Document(elements))
    }

    /// The elements from top to bottom.
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.0
    }

    /// The same document below a line of `text`, large and inverted: to mark a copy.
    ///
    /// # Errors
    /// As [`Document::new`].
    pub fn marked(&self, text: &str) -> Result<Document, Error> {
        let mark = Element::Text(Text {
            text: text.into(),
            align: Align::Center,
            bold: true,
            inverted: true,
            double_height: true,
            ..Text::default()
        });
        let mut elements = vec![mark];
        elements.extend(self.0.iter().cloned());
        // The mark may make it one element longer than an app's document.
        elements
            .iter()
            .try_for_each(|element| check(element).map(drop))
            .map_err(|(field, reason)| Error::Element { index: 0, field, reason })?;
        Ok(Document(elements))
    }
}

impl TryFrom<Vec<Element>> for Document {
    type Error = Error;

    fn try_from(elements: Vec<Element>) -> Result<Document, Error> {
        Document::new(elements)
    }
}

impl From<Document> for Vec<Element> {
    fn from(document: Document) -> Vec<Element> {
        document.0
    }
}

/// The field at fault, and why.
type Fault = (&'static str, String);

/// Checks one element and counts its bytes.
fn check(element: &Element) -> Result<usize, Fault> {
    match element {
        Element::Text(text) => printable("text", &text.text, MAX_TEXT),
        Element::Columns(columns) => check_columns(columns),
        Element::Rule(_) | Element::Cut(_) => Ok(0),
        Element::Feed(feed) => within("lines", feed.lines, 1, 20),
        Element::Image(image) => match image.png.len() {
            0 => Err(("png", "is empty".into())),
            size if size > MAX_PNG => Err(("png", format!("has {size} bytes: at most {MAX_PNG} are taken"))),
            size => Ok(size),
        },
        Element::Qr(qr) => {
            within("module", qr.module, 2, 16)?;
            match qr.data.len() {
                size @ 1..=1000 => Ok(size),
                size => Err(("data", format!("has {size} bytes: 1 to 1000 are taken"))),
            }
        }
        Element::Barcode(barcode) => {
            within("height", barcode.height, 24, 240)?;
            within("module", barcode.module, 2, 6)?;
            let faulty = |reason: &'static str| ("data", reason.to_owned());
            crate::symbol::bars(barcode.symbology, &barcode.data).map_err(faulty)?;
            Ok(barcode.data.len())
        }
        Element::Drawer(drawer) if matches!(drawer.pin, 2 | 5) => Ok(0),
        Element::Drawer(drawer) => Err(("pin", format!("is {}: the connector has 2 and 5", drawer.pin))),
    }
}

fn check_columns(columns: &Columns) -> Result<usize, Fault> {
    if !(1..=MAX_CELLS).contains(&columns.cells.len()) {
        return Err(("cells", format!("has {} cells: 1 to {MAX_CELLS} are taken", columns.cells.len())));
    }
    let mut bytes = 0;
    for cell in &columns.cells {
        if cell.width == 1 || cell.width > 64 {
            return Err(("cells.width", format!("is {}: 2 to 64, or 0 for a share", cell.width)));
        }
        within("cells.weight", cell.weight, 1, 100)?;
        bytes += printable("cells.text", &cell.text, MAX_TEXT)?;
    }
    Ok(bytes)
}

fn within<N: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: N,
    least: N,
    most: N,
) -> Result<usize, Fault> {
    if value < least || value > most {
        return Err((field, format!("is {value}: {least} to {most} are taken")));
    }
    Ok(0)
}

fn printable(field: &'static str, text: &str, most: usize) -> Result<usize, Fault> {
    if text.len() > most {
        return Err((field, format!("has {} bytes: at most {most} are taken", text.len())));
    }
    match text.chars().find(|c| c.is_control() && *c != '\n') {
        Some(control) => Err((field, format!("holds the control character {control:?}: only \\n is taken"))),
        None => Ok(text.len()),
    }
}

fn centre() -> Align {
    Align::Center
}

fn qr_module() -> u8 {
    6
}

fn bar_height() -> u8 {
    80
}

fn bar_module() -> u8 {
    2
}

fn hex_out<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

fn hex_in<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    hex::decode(text.as_ref()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Document, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_document_survives_json() {
        let json = r#"[{"kind":"text","text":"谢谢","align":"center","bold":true},
            {"kind":"columns","cells":[{"text":"可乐","weight":3},{"text":"3.50","align":"right"}]},
            {"kind":"rule"},{"kind":"image","png":"89504e47"},{"kind":"qr","data":"x"},
            {"kind":"barcode","data":"6901234567892","symbology":"ean13"},{"kind":"cut"}]"#;
        let document = parse(json).unwrap();
        let again = serde_json::to_string(&document).unwrap();
        assert_eq!(parse(&again).unwrap(), document);
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        assert!(parse(r#"[{"kind":"text","text":"a","bolt":true}]"#).unwrap_err().contains("`bolt`"));
        assert!(parse(r#"[{"kind":"video"}]"#).unwrap_err().contains("`video`"));
    }

    #[test]
    fn a_fault_names_its_element_and_field() {
        for (json, place) in [
            (r#"[{"kind":"rule"},{"kind":"feed","lines":0}]"#, "element 1: `lines`"),
            (r#"[{"kind":"text","text":"a\tb"}]"#, "element 0: `text`"),
            (r#"[{"kind":"columns","cells":[]}]"#, "element 0: `cells`"),
            (r#"[{"kind":"columns","cells":[{"weight":0}]}]"#, "element 0: `cells.weight`"),
            (r#"[{"kind":"qr","data":""}]"#, "element 0: `data`"),
            (r#"[{"kind":"qr","data":"a","module":1}]"#, "element 0: `module`"),
            (r#"[{"kind":"barcode","data":"6901234567890","symbology":"ean13"}]"#, "element 0: `data`"),
            (r#"[{"kind":"drawer","pin":3}]"#, "element 0: `pin`"),
            ("[]", "the document is empty"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn a_document_is_bounded() {
        let rules = vec![Element::Rule(Rule::default()); MAX_ELEMENTS + 1];
        assert!(matches!(Document::new(rules), Err(Error::Document(_))));
        let text = Text { text: "x".repeat(MAX_TEXT + 1), ..Text::default() };
        assert!(matches!(Document::new(vec![Element::Text(text)]), Err(Error::Element { .. })));
    }
}
