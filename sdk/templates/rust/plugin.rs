//! {{NAME}} blocks texts that contain a word of its configuration.

mod ledge;

#[no_mangle]
pub extern "C" fn guard() -> i32 {
    ledge::handle(|request| {
        let text = ledge::json_member(request, "text")
            .and_then(ledge::json_string)
            .ok_or("the request has no text")?;
        let word = ledge::config("word").unwrap_or("bluebird".to_string());
        if text.contains(&word) {
            let reason = ledge::json_quote("names what must not be named");
            return Ok::<_, &str>(format!("{{\"verdict\":\"block\",\"reason\":{reason}}}"));
        }
        Ok("{\"verdict\":\"allow\"}".to_string())
    })
}
