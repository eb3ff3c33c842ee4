use super::*;

const JSON: &str = r#"{"country":"US","province":"Georgia","city":"Atlanta","door":"12B","clientname":"MARKER-NAME",
    "clientphone":"+1 404 555 0100","postalCode":"30303"}"#;

const YAML: &str = "
country: NO
province: Møre og Romsdal
city: Ålesund
door: 7
clientname: MARKER-NAME
clientphone: 0047 555 01 000
postalCode: 06001
salt: 3q2-7wAAAAAAAAAAAAAAAA
";

#[test]
fn d15_an_order_in_json_has_the_seeds_fields() {
    let order = parse(JSON.as_bytes()).unwrap();
    assert_eq!((order.country.expose(), order.province.expose(), order.city.expose()), ("US", "Georgia", "Atlanta"));
    assert_eq!((order.postal_code.expose(), order.door.expose()), ("30303", "12B"));
    assert_eq!((order.client_name.expose(), order.client_phone.expose()), ("MARKER-NAME", "+1 404 555 0100"));
    assert_eq!(order.salt, None);
}

#[test]
fn d15_an_order_in_yaml_keeps_what_was_written() {
    let order = parse(YAML.as_bytes()).unwrap();
    assert_eq!(order.country.expose(), "NO", "a country is no boolean");
    assert_eq!(order.postal_code.expose(), "06001", "a postal code is no octal number");
    assert_eq!(order.door.expose(), "7");
    assert_eq!(order.client_phone.expose(), "0047 555 01 000");
    assert!(order.salt.is_some());
}

#[test]
fn numbers_in_json_are_text_too() {
    let order = parse(JSON.replace(r#""30303""#, "30303").as_bytes()).unwrap();
    assert_eq!(order.postal_code.expose(), "30303");
}

#[test]
fn d70_a_long_name_just_works() {
    let name = "é".repeat(MAX_FIELD / 2);
    let order = parse(JSON.replace("MARKER-NAME", &name).as_bytes()).unwrap();
    assert_eq!(order.client_name.expose(), name);
    let longer = JSON.replace("MARKER-NAME", &format!("{name}x"));
    assert_eq!(parse(longer.as_bytes()), Err(Malformed::TooLong("clientname")));
}

#[test]
fn each_missing_or_empty_field_is_named() {
    for field in FIELDS.into_iter().filter(|field| !["email", "salt"].contains(field)) {
        let mut value: serde_json::Value = serde_json::from_str(JSON).unwrap();
        value[field] = "  ".into();
        assert_eq!(parse(value.to_string().as_bytes()), Err(Malformed::Empty(field)));
        value[field] = serde_json::Value::Null;
        assert_eq!(parse(value.to_string().as_bytes()), Err(Malformed::Empty(field)));
        value.as_object_mut().unwrap().remove(field);
        assert_eq!(parse(value.to_string().as_bytes()), Err(Malformed::Missing(field)));
    }
}

#[test]
fn what_is_no_order_is_refused() {
    for (value, expected) in [
        (&b"MARKER"[..], Malformed::NotAMap),
        (b"", Malformed::Missing("country")),
        (b"[1, 2]", Malformed::NotAMap),
        (b"{\"country\": ", Malformed::NotAMap),
        (b"country: {a: MARKER}", Malformed::NotAMap),
        (b"country: a\ncountry: b", Malformed::NotAMap),
        (b"\xff\xfe", Malformed::NotText),
        (&[b'x'; MAX_ORDER + 1], Malformed::TooLarge),
        (b"MARKER-FIELD: x", Malformed::UnknownField),
    ] {
        assert_eq!(parse(value), Err(expected), "{}", String::from_utf8_lossy(&value[..value.len().min(40)]));
    }
    let control = JSON.replace("12B", "12\\u0007B");
    assert_eq!(parse(control.as_bytes()), Err(Malformed::Control("door")));
    let weak = JSON.replace(r#""postalCode""#, r#""salt":"short","postalCode""#);
    assert_eq!(parse(weak.as_bytes()), Err(Malformed::WeakSalt));
}

#[test]
fn a_bomb_of_aliases_is_no_order() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h"].iter().zip(["a", "b", "c", "d", "e", "f", "g"]) {
        bomb += &format!("{name}: &{name} [*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\n");
    }
    assert_eq!(parse(bomb.as_bytes()), Err(Malformed::NotAMap));
}

#[test]
fn one_bad_order_spoils_no_other() {
    let book = Book::read(&[
        source("orders-a", &[("upc-1", JSON), ("upc-2", "MARKER: MARKER")]),
        ("orders-b".to_owned(), None),
        source("orders-c", &[("upc-3", YAML)]),
    ]);
    assert!(book.order("upc-1").is_some() && book.order("upc-3").is_some() && book.order("upc-2").is_none());
    assert_eq!(
        book.complaint(),
        "key upc-2 of Secret orders-a has a field that is no part of an order; Secret orders-b does not exist"
    );
}

#[test]
fn a_upc_in_two_secrets_is_used_from_neither() {
    let keys: &[(&str, &str)] = &[("upc-1", JSON)];
    let book = Book::read(&[source("orders-a", keys), source("orders-b", keys), source("orders-c", keys)]);
    assert!(book.is_empty());
    assert_eq!(book.faults().len(), 2);
    assert!(book.complaint().starts_with("key upc-1 of Secret orders-b is in Secret orders-a too"));
}

#[test]
fn a_complaint_is_bounded() {
    let many: Vec<(String, String)> = (0..500).map(|n| (format!("upc-{n:03}"), "MARKER".to_owned())).collect();
    let keys: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let complaint = Book::read(&[source("orders-a", &keys)]).complaint();
    assert!(complaint.ends_with("and 497 more") && complaint.len() < 400, "{complaint}");
}

#[test]
fn content_never_shows() {
    let book = Book::read(&[source("orders-a", &[("upc-1", JSON), ("upc-2", "MARKER: MARKER"), ("upc-3", "[MARKER")])]);
    let shown = format!("{book:?} {}", book.complaint());
    assert!(!shown.contains("MARKER") && !shown.contains("Atlanta"), "{shown}");
}

// === helpers ===

fn source(name: &str, keys: &[(&str, &str)]) -> Source {
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
    (name.to_owned(), Some(keys.collect()))
}
