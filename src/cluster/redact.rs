//! Takes what looks like a secret out of text that others wrote: log lines, events.

/// What stands where a secret was.
pub const MASK: &str = "*****";
/// Words that say that what is assigned to them is secret.
const WORDS: [&str; 9] =
    ["password", "passwd", "secret", "token", "apikey", "api_key", "api-key", "credential", "authorization"];
/// Shortest text that is taken for a signed token.
const TOKEN: usize = 40;

/// Masks values that are assigned to words such as `password`, the credentials of URLs, and signed tokens.
pub fn redact(text: &str) -> String {
    tokens(&urls(&assigned(text)))
}

/// Masks the value after a word and `:` or `=`, up to its end.
fn assigned(text: &str) -> String {
    // ASCII case alone is folded, so that positions stay those of the text.
    let lower = text.to_ascii_lowercase();
    let (mut out, mut from) = (String::new(), 0);
    while let Some(start) = next_word(&lower[from..]).map(|end| from + end) {
        if let Some((begin, end)) = value_at(text, start) {
            out.extend([&text[from..begin], MASK]);
            from = end;
        } else {
            out.push_str(&text[from..start]);
            from = start;
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Returns where the first of the words ends.
fn next_word(lower: &str) -> Option<usize> {
    WORDS.iter().filter_map(|word| lower.find(word).map(|at| at + word.len())).min()
}

/// Returns where the value begins and ends that is assigned to the word that ends at `at`.
fn value_at(text: &str, at: usize) -> Option<(usize, usize)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let rest = text[at..].trim_start_matches(is_name).trim_start_matches(['"', '\'']).trim_start_matches(' ');
    let rest = rest.strip_prefix([':', '='])?.trim_start_matches([' ', '=']);
    let rest = ["bearer ", "basic "]
        .iter()
        .find(|scheme| rest.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map_or(rest, |scheme| &rest[scheme.len()..]);
    let (rest, end) = match rest.chars().next()? {
        quote @ ('"' | '\'') => (&rest[1..], rest[1..].find(quote)),
        _ => (rest, rest.find(|c: char| c.is_whitespace() || [',', ';', '&', '"', '\'', '}', ')', ']'].contains(&c))),
    };
    let begin = text.len() - rest.len();
    let end = begin + end.unwrap_or(rest.len());
    (end > begin).then_some((begin, end))
}

/// Masks what stands between `://` and `@`.
fn urls(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || c == '/' || c == '"').unwrap_or(part.len());
        match part[..end].rfind('@') {
            Some(at) => out.extend(["://", MASK, &part[at..]]),
            None => out.extend(["://", part]),
        }
    }
    out
}

/// Masks JSON Web Tokens, wherever they stand.
fn tokens(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("eyJ") {
        let (before, from) = rest.split_at(at);
        let is_part = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&c);
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        out.extend([before, if end >= TOKEN { MASK } else { &from[..end] }]);
        rest = &from[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assigned_to_a_secret_word_is_masked() {
        let rows = [
            ("login failed: password=hunter2, user=a", "login failed: password=*****, user=a"),
            ("DB_PASSWORD: 'a b c' next", "DB_PASSWORD: '*****' next"),
            (r#"{"token":"abc","n":1}"#, r#"{"token":"*****","n":1}"#),
            ("Authorization: Bearer abc.def", "Authorization: Bearer *****"),
            ("client_secret_key = xyz", "client_secret_key = *****"),
            ("the password is wrong", "the password is wrong"),
            ("secret \"db\" not found", "secret \"db\" not found"),
            ("password=", "password="),
            ("pÄssword password=ü token=x", "pÄssword password=***** token=*****"),
        ];
        for (text, wanted) in rows {
            assert_eq!(redact(text), wanted);
        }
    }

    #[test]
    fn credentials_of_urls_and_signed_tokens_are_masked() {
        let dial = redact("dial postgres://u:p@ss@db:5432/x and http://db/a@b failed");
        assert_eq!(dial, "dial postgres://*****@db:5432/x and http://db/a@b failed");
        let token = format!("got eyJ{} from x, eyJshort", "a".repeat(50));
        assert_eq!(redact(&token), "got ***** from x, eyJshort");
    }
}
