// Says how long the challenge is good for, and scans the courier's code where this browser can.
const until = document.querySelector("[data-until]");
if (until) {
  const end = Date.parse(until.dateTime);
  const tick = () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    until.textContent = left ? `in ${left} s` : "now: begin a new check";
  };
  tick();
  setInterval(tick, 1000);
}

const form = document.getElementById("scan");
if (form && "BarcodeDetector" in window && navigator.mediaDevices) {
  form.hidden = false;
  const [button, video] = [form.querySelector("button"), form.querySelector("video")];
  button.addEventListener("click", async () => {
    try {
      const detector = new BarcodeDetector({ formats: ["qr_code"] });
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.hidden = false;
      button.hidden = true;
      await video.play();
      const look = async () => {
        const [found] = await detector.detect(video);
        if (!found) return requestAnimationFrame(look);
        video.srcObject.getTracks().forEach((track) => track.stop());
        form.elements.code.value = found.rawValue;
        form.submit();
      };
      look();
    } catch {
      button.textContent = "No camera: type the six digits";
      button.disabled = true;
      button.hidden = false;
    }
  });
}
