# A photo, a style of the gallery, a painting.
curl -sS -f -H "X-Danqing: 1" -F photo=@photo.jpg -F style=great-wave -F size=1024 \
    -o painting.png http://127.0.0.1:8765/api/v1/paint

# Any painting as the style, mixed with one of the gallery, the colours of the photo kept.
curl -sS -f -H "X-Danqing: 1" -F photo=@photo.jpg -F style=@my-painting.jpg -F style=great-wave \
    -F weight=0.7 -F weight=0.3 -F keep_color=luminance -F format=jpeg \
    -o mixed.jpg http://127.0.0.1:8765/api/v1/paint

# Larger work is a job: ask for one, wait for it, fetch it.
job=$(curl -sS -f -H "X-Danqing: 1" -F photo=@photo.jpg -F style=great-wave -F job=true \
    http://127.0.0.1:8765/api/v1/paint | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
curl -sS -f -N "http://127.0.0.1:8765/api/v1/jobs/$job/events" > events.txt
curl -sS -f -o large.png "http://127.0.0.1:8765/api/v1/jobs/$job/result"
