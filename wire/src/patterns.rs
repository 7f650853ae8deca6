//! How policies match text: one implementation for identity policies and resource policies.

/// `*` stands for any text, `?` for one character. Takes time in proportion to both lengths multiplied, at worst.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&b) if b == b'?' || b == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    p = star_p + 1;
                    t = star_t + 1;
                    star = Some((star_p, star_t + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// The six fields of an ARN, each by its own pattern: a `*` does not reach beyond a colon, except in the last.
pub fn arn_matches(pattern: &str, arn: &str) -> bool {
    let mut patterns = pattern.splitn(6, ':');
    let mut fields = arn.splitn(6, ':');
    loop {
        match (patterns.next(), fields.next()) {
            (None, None) => return true,
            (Some(pattern), Some(field)) if matches(pattern, field) => {}
            _ => return false,
        }
    }
}
