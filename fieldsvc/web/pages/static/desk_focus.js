// A scanner types where the focus is: on this page that is the one field.
document.getElementById("code")?.focus();
