// A picture that does not come is no broken frame: in its place stands why.
const NOTHING = {
  404: ["erased", "This picture was erased, or never came."],
  else: ["not here now", "This picture cannot be fetched now. Load the page again in a while."],
};

async function missing(image) {
  const status = await fetch(image.src).then((answer) => answer.status, () => 0);
  const [short, long] = NOTHING[status] ?? NOTHING.else;
  const place = document.createElement("span");
  const small = image.closest(".pic");
  place.className = small ? "awaited" : "empty";
  place.textContent = small ? `picture ${short}` : long;
  // Nobody opens what is not there.
  (image.closest("figure a") ?? image).replaceWith(place);
}

document.addEventListener("error", ({ target }) => { if (target instanceof HTMLImageElement) missing(target); }, true);
// Those that failed before this was here.
for (const image of document.images) if (image.complete && image.src && !image.naturalWidth) missing(image);
