//! `cargo run -p escpos --example preview -- receipt.json profile.toml paper.png`: a receipt as its paper will look.

use escpos::{Bitmap, Document, Font, Profile, layout, render};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(document), Some(profile), Some(png)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: preview RECEIPT.json PROFILE.toml PAPER.png".into());
    };
    let document: Document = serde_json::from_str(&std::fs::read_to_string(document)?)?;
    let profile: Profile = toml::from_str(&std::fs::read_to_string(profile)?)?;
    let mut font = Font::builtin()?;
    let layout = layout(&document, &profile, &font)?;
    let paper = Bitmap::stacked(&render(&layout, &mut font));
    std::fs::write(png, paper.to_png()?)?;
    Ok(())
}
