//! The label of a parcel: what the courier scans before the door part opens. Its secret is made here from the Seller's label key, under
//! the user's own right to read that Secret; no service hands it out.

use std::path::PathBuf;

use clap::ValueEnum;
use k8s_openapi::api::core::v1::Secret;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use waybill_crds::Delivery;
use waybill_proof::epcis::digital_link;
use waybill_protocol::{LabelCode, LabelSecret, Uid};

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The UPCs or the names of the Deliveries
    #[arg(required = true)]
    deliveries: Vec<String>,
    /// What to make
    #[arg(long, default_value = "sheet")]
    form: Form,
    /// Where to write it; the standard output unless you say so
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A page to print and stick on
    Sheet,
    /// The QR code alone
    Svg,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    if args.form == Form::Svg && args.deliveries.len() > 1 {
        return Err(Error::Missing("a picture shows one code; a sheet has a page for each".into()));
    }
    let (mut pages, mut picture) = (Vec::new(), String::new());
    for name in &args.deliveries {
        let delivery = cluster.delivery(name).await?;
        picture = svg(&label(cluster, &delivery).await?.to_string())?;
        let link = digital_link(&delivery.spec.upc, delivery.metadata.uid.as_deref().unwrap_or_default());
        pages.push(page(&delivery.spec.upc, link.as_deref(), &picture));
    }
    let text = if args.form == Form::Svg { picture } else { sheet(&pages) };
    match &args.file {
        None => print(&text),
        Some(path) => {
            std::fs::write(path, text).map_err(|source| Error::File { verb: "write", path: path.clone(), source })?
        }
    }
    Ok(code::DONE)
}

async fn label(cluster: &Cluster, delivery: &Delivery) -> Result<LabelCode, Error> {
    let name = format!("wb-seller-{}-label", delivery.spec.seller);
    let secret: Secret = cluster.get(&name).await?;
    let key = secret.data.and_then(|mut data| data.remove("label.key")).map(|key| key.0);
    let key: Option<[u8; 32]> = key.and_then(|key| key.try_into().ok());
    let key = key.ok_or_else(|| Error::Missing(format!("Secret {name} holds no label key of 32 bytes")))?;
    let uid = Uid::new(delivery.metadata.uid.clone().unwrap_or_default());
    let delivery = uid.map_err(|error| Error::Missing(format!("failed to read the Delivery's uid: {error}")))?;
    Ok(LabelCode { secret: LabelSecret::new(&key, &delivery), delivery })
}

/// Level Q and four modules of quiet: labels are scratched, wet and photographed askew.
fn svg(text: &str) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(text, EcLevel::Q);
    let code = code.map_err(|error| Error::Missing(format!("failed to draw the code: {error}")))?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(240, 240).quiet_zone(true).build())
}

/// One label: its code, what people read, and where the UPC is one of GS1's its Digital Link.
fn page(upc: &str, link: Option<&str>, picture: &str) -> String {
    let picture = picture.split_once("?>").map_or(picture, |(_, rest)| rest);
    let link = link.map(|link| format!("<div class=\"link\">{link}</div>\n")).unwrap_or_default();
    format!(
        "<section><figure role=\"img\" aria-label=\"QR code of the parcel's label\">{picture}</figure>\n\
         <div class=\"upc\">{upc}</div>\n{link}</section>\n"
    )
}

fn sheet(pages: &[String]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Labels</title>\n\
         <style>@page {{ size: A6; margin: 8mm }} body {{ font: 14pt system-ui, sans-serif; text-align: center; margin: 0 }}\n\
         svg {{ width: 70mm; height: 70mm }} .upc {{ font: 600 20pt ui-monospace, monospace; overflow-wrap: anywhere }}\n\
         .link {{ font-size: 8pt; overflow-wrap: anywhere }} section + section {{ break-before: page }}</style></head>\n\
         <body>{}</body></html>\n",
        pages.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_the_upc_to_people_and_the_secret_only_as_a_picture() {
        let delivery = Uid::new("dddddddd-0000-4000-8000-000000000001").unwrap();
        let code = LabelCode { secret: LabelSecret::new(&[7; 32], &delivery), delivery }.to_string();
        let sheet = sheet(&[page("UPC_1", None, &svg(&code).unwrap())]);
        assert!(sheet.contains("<svg") && sheet.contains(">UPC_1<") && !sheet.contains("<?xml"));
        assert!(!sheet.contains(&code));
    }

    #[test]
    fn a_sheet_has_a_page_for_each_label_and_the_link_of_a_code_of_gs1() {
        let link = digital_link("4006381333931", "dddddddd-0000-4000-8000-000000000001");
        let sheet = sheet(&[page("4006381333931", link.as_deref(), "<svg/>"), page("UPC_1", None, "<svg/>")]);
        assert_eq!(sheet.matches("<section>").count(), 2);
        assert!(sheet.contains(">https://id.gs1.org/01/04006381333931/21/dddddddd000040008000<"), "{sheet}");
        assert_eq!(sheet.matches("class=\"link\"").count(), 1);
    }
}
