//! Who the bearer of an ID token is to Kubernetes: named as the API server's `--oidc-username-*` and `--oidc-groups-*` flags would.

use k8s_openapi::api::authentication::v1::UserInfo;
use serde_json::Value;

use super::token::Claims;
use crate::config::OidcArgs;

/// Names Kubernetes keeps for itself, such as `system:masters`: no issuer speaks for those.
const RESERVED: &str = "system:";
/// The group of everybody the API server knows.
const AUTHENTICATED: &str = "system:authenticated";
/// Longer than any name.
const MAX_NAME: usize = 512;

/// Why a good token names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("claim {0:?} is no text, or has nothing in it that names somebody")]
    NoName(String),
    #[error("the e-mail address is not verified")]
    Unverified,
    #[error("the name is one Kubernetes keeps for itself")]
    Reserved,
    #[error("claim {0:?} is neither a text nor a list of texts")]
    NoGroups(String),
}

/// Which claims name people and groups, and what stands before.
pub(super) struct Naming {
    user: (String, String),
    groups: Option<(String, String)>,
}

impl Naming {
    pub(super) fn new(issuer: &str, args: &OidcArgs) -> Self {
        let claim = args.username_claim();
        // As the flags have it: names of an issuer are its own, but for addresses, which are somebody's anyway.
        let prefix = match args.username_prefix.as_str() {
            "" if claim != "email" => format!("{issuer}#"),
            "-" => String::new(),
            prefix => prefix.to_owned(),
        };
        let groups = args.groups_claim().map(|claim| (claim, args.groups_prefix.clone()));
        Self { user: (claim, prefix), groups }
    }

    pub(super) fn person(&self, claims: &Claims) -> Result<UserInfo, Refusal> {
        let (claim, prefix) = &self.user;
        let name = claims.get(claim).and_then(Value::as_str).filter(|name| is_name(name));
        let name = name.ok_or_else(|| Refusal::NoName(claim.clone()))?;
        if claim == "email" && claims.get("email_verified").is_some_and(|verified| verified != true) {
            return Err(Refusal::Unverified);
        }
        let username = format!("{prefix}{name}");
        if username.starts_with(RESERVED) {
            return Err(Refusal::Reserved);
        }
        let mut groups = self.groups(claims)?;
        groups.push(AUTHENTICATED.to_owned());
        Ok(UserInfo { username: Some(username), groups: Some(groups), ..UserInfo::default() })
    }

    fn groups(&self, claims: &Claims) -> Result<Vec<String>, Refusal> {
        let Some((claim, prefix)) = &self.groups else { return Ok(Vec::new()) };
        let wrong = || Refusal::NoGroups(claim.clone());
        let named = match claims.get(claim) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(all)) => all.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?,
            Some(_) => return Err(wrong()),
        };
        let groups = named.into_iter().filter(|name| is_name(name)).map(|name| format!("{prefix}{name}"));
        Ok(groups.filter(|group| !group.starts_with(RESERVED)).collect())
    }
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(args: OidcArgs, claims: Value) -> Result<(String, Vec<String>), Refusal> {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        let user = Naming::new("https://id.example", &args).person(&claims)?;
        Ok((user.username.unwrap(), user.groups.unwrap()))
    }

    #[test]
    fn names_are_those_the_api_servers_flags_would_make() {
        let args = |claim: &str, prefix: &str| OidcArgs {
            username_claim: claim.into(),
            username_prefix: prefix.into(),
            ..OidcArgs::default()
        };
        let claims = json!({"sub": "7", "email": "ann@example.com", "name": "Ann"});
        for (args, name) in [
            (args("", ""), "https://id.example#7"),
            (args("sub", "oidc:"), "oidc:7"),
            (args("sub", "-"), "7"),
            (args("email", ""), "ann@example.com"),
            (args("email", "oidc:"), "oidc:ann@example.com"),
            (args("name", ""), "https://id.example#Ann"),
        ] {
            assert_eq!(named(args, claims.clone()).unwrap().0, name);
        }
        assert_eq!(named(args("nick", ""), claims), Err(Refusal::NoName("nick".into())));
        for verified in [json!(false), json!("true"), json!(null)] {
            let claims = json!({"sub": "7", "email": "ann@example.com", "email_verified": verified});
            assert_eq!(named(args("email", ""), claims), Err(Refusal::Unverified));
        }
    }

    #[test]
    fn groups_come_with_their_prefix_and_never_from_kubernetes_own() {
        let args = |claim: &str, prefix: &str| OidcArgs {
            groups_claim: claim.into(),
            groups_prefix: prefix.into(),
            ..OidcArgs::default()
        };
        let of = |args, groups| named(args, json!({"sub": "7", "groups": groups})).map(|(_, groups)| groups);
        assert_eq!(of(args("", ""), json!(["a"])).unwrap(), [AUTHENTICATED], "no claim, no groups");
        assert_eq!(of(args("groups", "o:"), json!(["a", "b"])).unwrap(), ["o:a", "o:b", AUTHENTICATED]);
        assert_eq!(of(args("groups", ""), json!("a")).unwrap(), ["a", AUTHENTICATED], "one is a list of one");
        assert_eq!(of(args("groups", ""), json!(["system:masters", ""])).unwrap(), [AUTHENTICATED]);
        assert_eq!(of(args("groups", "system:"), json!(["masters"])).unwrap(), [AUTHENTICATED]);
        assert_eq!(of(args("groups", ""), json!(7)), Err(Refusal::NoGroups("groups".into())));
        assert_eq!(of(args("groups", ""), json!(["a", 7])), Err(Refusal::NoGroups("groups".into())));
    }

    #[test]
    fn nobody_is_a_system_account_or_has_no_name() {
        let bare = || OidcArgs { username_prefix: "-".into(), ..OidcArgs::default() };
        for sub in ["system:serviceaccount:shop:waybill-viewer", "system:admin"] {
            assert_eq!(named(bare(), json!({"sub": sub})), Err(Refusal::Reserved));
        }
        for sub in [json!(""), json!(" "), json!("a\nb"), json!(7), json!("x".repeat(MAX_NAME + 1))] {
            assert_eq!(named(bare(), json!({"sub": sub})), Err(Refusal::NoName("sub".into())));
        }
    }
}
