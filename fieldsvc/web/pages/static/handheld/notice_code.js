// The code that the carrier writes on a paper notice, as handlers/notice_code.py reads it: eight random letters and one that checks them.

const ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"; // none that is mistaken for another
const LETTERS = 8;
const FAIR = 240; // the largest multiple of 30 that a byte holds: above it the letters would not be equally likely

/** Make a code, without any network. */
export function newNoticeCode() {
  let letters = "";
  while (letters.length < LETTERS) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1));
    if (byte < FAIR) letters += ALPHABET[byte % ALPHABET.length];
  }
  return letters + checkLetter(letters);
}

/** The letter that completes a code (Luhn, modulo 30). */
export function checkLetter(letters) {
  const base = ALPHABET.length;
  const total = [...letters].reverse().reduce((sum, letter, place) => {
    const value = ALPHABET.indexOf(letter) * (place % 2 ? 1 : 2);
    return sum + Math.floor(value / base) + (value % base);
  }, 0);
  return ALPHABET[(base - (total % base)) % base];
}

/** A code as it is written by hand: K7M-2QX-4PD. */
export function writtenCode(code) {
  return code.match(/.{3}/g).join("-");
}
