//! Programs that try to take from others what is theirs.

use tests::Guest;

#[test]
fn rogue_cannot_make_itself_immortal() {
    let Some(mut guest) = Guest::boot() else { return };
    guest.run("hello");
    let before = guest.run("free");
    guest.send("rogue stay\r");
    let said = guest.expect("rogue: names: ");
    assert!(said.contains("rogue: dispatcher: ") && !said.contains("done"), "{said}");
    guest.send("\x03");
    guest.prompt();
    assert_eq!(guest.run("echo $?"), "130\n");
    assert!(!guest.run("ps").contains("rogue"));
    assert_eq!(guest.run("free"), before);
}
