"use strict";
// Makes the card of one image. Everything from outside is set as text, never as markup.
const card = (() => {
  function card(image, picture) {
    const made = document.getElementById("card").content.cloneNode(true).firstElementChild;
    const part = (name) => made.querySelector(`.${name}`);
    part("name").textContent = part("name").title = image.name;
    fillPicture(made, part("picture"), image.name, picture);
    fillMark(made, part("mark"), image.match);
    fillCaptions(part("best"), part("others"), image);
    fillReference(part("reference"), image);
    fillFoot(part("foot"), image);
    for (const name of ["mark", "others", "reference", "foot"]) {
      if (!part(name).hasChildNodes()) part(name).remove();
    }
    return made;
  }

  function fillCaptions(best, others, { captions, match }) {
    captions.forEach((caption, place) => {
      const line = captionLine(caption, place === match);
      if (place === 0) return best.append(line);
      const item = document.createElement("li");
      item.append(line);
      others.append(item);
    });
  }

  function fillPicture(made, button, name, picture) {
    const img = button.querySelector("img");
    button.disabled = !picture;
    if (!picture) return img.replaceWith("no thumbnail");
    img.alt = `Thumbnail of ${name}`;
    img.src = `data:image/jpeg;base64,${picture}`;
    button.addEventListener("click", () => {
      button.ariaExpanded = made.classList.toggle("large");
    });
  }

  function fillMark(made, mark, match) {
    if (match === null) return;
    made.classList.add(match === 0 ? "right" : "wrong");
    mark.textContent = match === 0 ? "exact match"
      : match > 0 ? `wrong, caption ${match + 1} is right` : "wrong";
  }

  function captionLine([text, probability, similarity, logProbability, place], same) {
    const made = document.getElementById("caption").content.cloneNode(true).firstElementChild;
    made.classList.toggle("same", same);
    made.querySelector(".text").textContent = text;
    made.querySelector("i").style.width = `${100 * probability}%`;
    made.querySelector(".share").textContent = (probability ?? Number.NaN).toFixed(2);
    made.title = `probability ${probability}, similarity ${similarity}, `
      + `written with log probability ${logProbability}, there in place ${place}`;
    return made;
  }

  function fillReference(line, { reference, match }) {
    if (reference === null || match === 0) return; // the best caption says it already
    const title = document.createElement("b");
    title.textContent = "Reference";
    line.append(title, " ", reference);
  }

  function fillFoot(line, { variant, slices, versions }) {
    const add = (text, name) => {
      const made = document.createElement("span");
      made.textContent = text;
      made.className = name;
      line.append(made);
    };
    if (variant) add(variant, "variant");
    for (const [name, value] of Object.entries(slices)) add(`${name}: ${value}`, "slice");
    for (const [stage, model] of Object.entries(versions)) add(`${stage} by ${model}`, "version");
  }

  return card;
})();
