// Takes the one-time code out of the address bar, so that it stands in no history, and hands it in.
const code = location.hash.slice(1);
if (code) {
  history.replaceState(null, "", location.pathname);
  const form = document.getElementById("login");
  form.elements.code.value = decodeURIComponent(code);
  form.submit();
}
