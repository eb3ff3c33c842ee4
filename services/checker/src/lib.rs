//! The checker page: whoever has a proof bundle drops it in and sees whether it is true. The bundle stays on their machine.
//!
//! A bundle can't vouch for itself, so the checker never comes out of one: the board serves it at `/check`, and
//! `kubectl waybill checker` writes the same file. It is the code of `waybill-proof`, compiled to WebAssembly by this crate's build
//! script, in one HTML file that asks nobody for anything: it works from a disk, and offline.

/// The page.
pub const PAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/check.html"));

/// The same by gzip.
pub const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/check.html.gz"));

/// Of its content.
pub const TAG: &str = include_str!(concat!(env!("OUT_DIR"), "/tag"));

/// The policy the page says of itself; who serves it says it too.
pub const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/policy"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_may_run_its_own_code_and_can_ask_and_tell_nobody() {
        assert!(
            PAGE.contains(&format!("content=\"{POLICY}\"")),
            "it says its policy itself, for who opens it from a disk"
        );
        assert!(POLICY.starts_with("default-src 'none'; script-src 'sha256-"), "{POLICY}");
        for way_out in ["connect-src", "'self'", "'unsafe-inline'", "http:", "https:", "blob:"] {
            assert!(!POLICY.contains(way_out), "{way_out}");
        }
        assert!(!PAGE.contains("innerHTML"), "what a bundle says is text and never markup");
        assert!(!PAGE.contains(" style=") && !PAGE.contains(" onclick="), "the policy would keep them from working");
        assert!(!PAGE.contains("{{"), "a place was not filled");
    }

    #[test]
    fn the_page_with_its_module_fits_into_a_mebibyte() {
        println!("{} bytes, {} compressed", PAGE.len(), PACKED.len());
        assert!((100_000..=1 << 20).contains(&PACKED.len()), "{} bytes", PACKED.len());
    }
}
